/** The widget of a panel of tables. */

import { createSession } from "./panel-session";
import style from "./style.css?inline";
import { App } from "./ui/app";
import { widgetOf } from "./widget";

export default widgetOf(createSession, App, style);
