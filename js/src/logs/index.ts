/** The widget of a panel of log lines. */

import type { AnyModel } from "@anywidget/types";
import { Link } from "../link";
import { widgetOf } from "../widget";
import { App } from "./app";
import type { LogFromPage, LogToPage, Traits } from "./contract";
import { LogSession } from "./session";
import style from "./style.css?inline";

const createSession = (model: AnyModel<Traits>) =>
  new LogSession(new Link<LogToPage, LogFromPage>(model, ["snapshot", "log_rows", "log_health", "heartbeat"]));

export default widgetOf(createSession, App, style);
