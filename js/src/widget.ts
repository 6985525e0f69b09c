/** What anywidget asks a module for: one session a model, one view each time it is shown. */

import type { AnyModel, Host } from "@anywidget/types";
import { type App, mount } from "./mount";
import type { ViewListener } from "./visibility";

interface Session extends ViewListener {
  start(): void;
  stop(): void;
}

interface Props<Traits extends object> {
  model: AnyModel<Traits>;
  signal?: AbortSignal;
}

export function widgetOf<Traits extends object, S extends Session>(begin: (model: AnyModel<Traits>) => S, app: App<S>, style: string) {
  return () => {
    let session: S | null = null;

    const started = (model: AnyModel<Traits>): S => {
      session ??= begin(model);
      session.start();
      return session;
    };

    return {
      initialize({ model, signal }: Props<Traits>) {
        const own = started(model);
        const end = () => own.stop();
        signal?.addEventListener("abort", end, { once: true });
        return end;
      },

      render({ model, el, signal, host }: Props<Traits> & { el: HTMLElement; host?: Host }) {
        let end: (() => void) | null = mount(started(model), el, app, style, host);
        const once = () => {
          end?.();
          end = null;
        };
        signal?.addEventListener("abort", once, { once: true });
        return once;
      },
    };
  };
}
