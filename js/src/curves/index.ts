/** The widget: one session a model, one view each time it is shown. */

import type { AnyModel } from "@anywidget/types";
import type { Traits } from "./contract";
import { Link } from "./model";
import { mount } from "./mount";
import { Session } from "./session";

interface Props {
  model: AnyModel<Traits>;
  signal?: AbortSignal;
}

export default function widget() {
  let session: Session | null = null;

  const started = (model: AnyModel<Traits>): Session => {
    session ??= new Session(new Link(model));
    session.start();
    return session;
  };

  return {
    initialize({ model, signal }: Props) {
      const own = started(model);
      const end = () => own.stop();
      signal?.addEventListener("abort", end, { once: true });
      return end;
    },

    render({ model, el, signal }: Props & { el: HTMLElement }) {
      let end: (() => void) | null = mount(started(model), el);
      const once = () => {
        end?.();
        end = null;
      };
      signal?.addEventListener("abort", once, { once: true });
      return once;
    },
  };
}
