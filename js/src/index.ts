/** The panels that show what the service says. */

import type { AnyModel } from "@anywidget/types";
import type { FromPage, ToPage, Traits } from "./contract";
import { Link } from "./link";
import { Session } from "./session";
import style from "./style.css?inline";
import { App } from "./ui/app";
import { widgetOf } from "./widget";

const begin = (model: AnyModel<Traits>) => new Session(new Link<ToPage, FromPage>(model, ["snapshot", "change", "tick", "picture"]));

export default widgetOf(begin, App, style);
