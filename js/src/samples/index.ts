/** The widget of a panel of samples. */

import type { AnyModel } from "@anywidget/types";
import { Link } from "../link";
import { widgetOf } from "../widget";
import { App } from "./app";
import type { SamplesFromPage, SamplesToPage, Traits } from "./contract";
import { SamplesSession } from "./session";
import style from "./style.css?inline";

const createSession = (model: AnyModel<Traits>) =>
  new SamplesSession(new Link<SamplesToPage, SamplesFromPage>(model, ["snapshot", "metadata", "grid", "sample_text", "heartbeat"]));

export default widgetOf(createSession, App, style);
