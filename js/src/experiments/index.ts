/** The widget of the panel of experiments. */

import type { AnyModel } from "@anywidget/types";
import { Link } from "../link";
import { widgetOf } from "../widget";
import { App } from "./app";
import type { ExperimentsFromPage, ExperimentsToPage, Traits } from "./contract";
import { ExperimentsSession } from "./session";
import style from "./style.css?inline";

const createSession = (model: AnyModel<Traits>) =>
  new ExperimentsSession(
    new Link<ExperimentsToPage, ExperimentsFromPage>(model, ["snapshot", "change", "filtered", "curves", "heartbeat"]),
  );

export default widgetOf(createSession, App, style);
