/** The widget of a panel of tables. */

import type { AnyModel } from "@anywidget/types";
import type { FromPage, ToPage, Traits } from "./contract";
import { Link } from "./link";
import { PanelSession } from "./panel-session";
import style from "./style.css?inline";
import { App } from "./ui/app";
import { widgetOf } from "./widget";

const createSession = (model: AnyModel<Traits>) =>
  new PanelSession(new Link<ToPage, FromPage>(model, ["snapshot", "change", "heartbeat", "plot"]));

export default widgetOf(createSession, App, style);
