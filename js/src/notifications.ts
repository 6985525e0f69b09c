/** Browser notifications, where the panel was opened with them. */

import type { Notice } from "./contract";

export type Permission = "granted" | "denied" | "default" | "unsupported";

export function permission(): Permission {
  return typeof Notification === "undefined" ? "unsupported" : Notification.permission;
}

export async function requestPermission(): Promise<void> {
  // An older browser answers by a callback and returns nothing.
  await Notification.requestPermission();
}

export function notifyUser(title: string, notice: Notice): void {
  if (permission() !== "granted") return;
  try {
    new Notification(notice.text, { body: notice.hint || title, tag: `loops-nb-${notice.id}` });
  } catch {
    // Some browsers on phones have the name and refuse to make one; the banner in the panel says the same.
  }
}
