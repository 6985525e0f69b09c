import type { Fact } from "../contract";
import { Icon } from "./icons";
import { CopyButton } from "./small";

export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl class="facts">
      {facts.map((fact, i) => (
        // Facts have no id; they stand in a fixed order.
        <div key={`${i} ${fact.label}`} class={`fact ${fact.tone ?? ""}`} data-fact={fact.label}>
          <dt>{fact.label}</dt>
          <dd>
            {fact.tone && <Icon name={fact.tone} />}
            <span class={fact.code ? "code" : ""}>{fact.value}</span>
            {fact.code && <CopyButton text={fact.code} what={`${fact.label} ${fact.code}`} />}
          </dd>
        </div>
      ))}
    </dl>
  );
}
