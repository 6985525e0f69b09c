/** The widget of the dashboard. */

import { createSession } from "../panel-session";
import { widgetOf } from "../widget";
import { App } from "./app";
import style from "./style.css?inline";

export default widgetOf(createSession, App, style);
