/** The widget of a panel of curves. */

import type { AnyModel } from "@anywidget/types";
import { Link } from "../link";
import { widgetOf } from "../widget";
import { App } from "./app";
import type { CurvesFromPage, CurvesToPage, Traits } from "./contract";
import { CurvesSession } from "./session";
import style from "./style.css?inline";

const createSession = (model: AnyModel<Traits>) =>
  new CurvesSession(new Link<CurvesToPage, CurvesFromPage>(model, ["snapshot", "metadata", "chart", "append", "found_keys", "heartbeat"]));

export default widgetOf(createSession, App, style);
