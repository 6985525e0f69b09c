import { useRef } from "preact/hooks";
import { stateWord } from "../format";
import { Button } from "./elements";

interface Props<Name extends string> {
  label: string;
  tabs: readonly Name[];
  selected: Name;
  onSelect: (name: Name) => void;
  /** The id of what a tab shows; that of a tab itself is `tab-` and its name. */
  panelOf: (name: Name) => string;
}

/** Tabs: the Tab key stops at the selected one, and the arrow keys select another. */
export function TabList<Name extends string>({ label, tabs, selected, onSelect, panelOf }: Props<Name>) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const at = tabs.indexOf(selected);
    const to = { ArrowRight: at + 1, ArrowLeft: at + tabs.length - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onSelect(tabs[to % tabs.length] as Name);
    (list.current?.children[to % tabs.length] as HTMLElement | undefined)?.focus();
  };
  return (
    <div ref={list} role="tablist" aria-label={label} onKeyDown={onKeyDown}>
      {tabs.map((name) => (
        <Button
          key={name}
          id={`tab-${name}`}
          role="tab"
          aria-selected={name === selected}
          aria-controls={name === selected ? panelOf(name) : undefined}
          tabIndex={name === selected ? 0 : -1}
          onClick={() => onSelect(name)}
        >
          {stateWord(name)}
        </Button>
      ))}
    </div>
  );
}
