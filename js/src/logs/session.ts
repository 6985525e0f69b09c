/** The session of a panel of log lines. */

import type { Link } from "../link";
import { Session } from "../session";
import type { LogFromPage, LogToPage } from "./contract";
import { LogStore } from "./store";

export class LogSession extends Session<LogToPage, LogFromPage, LogStore> {
  constructor(link: Link<LogToPage, LogFromPage>) {
    super(link, new LogStore());
  }

  override onSecond(at: number): void {
    super.onSecond(at);
    this.changed();
  }
}
