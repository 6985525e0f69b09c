/** The panel of curves. */

import type { AnyModel } from "@anywidget/types";
import { Link } from "../link";
import { widgetOf } from "../widget";
import { App } from "./app";
import type { CurvesFromPage, CurvesToPage, Traits } from "./contract";
import { Session } from "./session";
import style from "./style.css?inline";

const begin = (model: AnyModel<Traits>) =>
  new Session(new Link<CurvesToPage, CurvesFromPage>(model, ["snapshot", "head", "curve", "tail", "keys", "pulse"]));

export default widgetOf(begin, App, style);
