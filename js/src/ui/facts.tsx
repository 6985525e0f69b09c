import type { Fact } from "../contract";
import { CopyButton } from "./elements";
import { Icon } from "./icons";

export function Facts({ facts }: { facts: readonly Fact[] }) {
  return facts.length ? (
    <dl class="facts">
      {facts.map(({ label, value, tone, code }) => (
        <div key={label} class={tone ?? ""} data-fact={label}>
          <dt class="soft">{label}</dt>
          <dd>
            {tone && <Icon name={tone} />}
            <span class={code && "code"}>{value}</span>
            {code && <CopyButton text={code} what={`${label} ${code}`} />}
          </dd>
        </div>
      ))}
    </dl>
  ) : null;
}
