import type { Action, FieldMatch, FieldName, Flow } from "@vdc-os/openflow";
import type { TracedFrame } from "./traced-frame.ts";

/** What a bridge does with a frame. */
export interface Trace {
  /** The flows that it meets, in order; a table in which it meets none ends its way. */
  readonly flows: readonly Flow[];
  readonly outputs: readonly { readonly port: number; readonly tags: readonly number[] }[];
}

/** How many flows a frame may meet: Open vSwitch has such a bound as well. */
const longestWay = 4_096;

/**
 * What flows do with a frame that comes in by a port: as Open vSwitch does it, meters apart, which let everything pass. Pure.
 */
export function traceFlows(flows: readonly Flow[], frame: TracedFrame, inPort: number): Trace {
  const byTable = new Map<number, Flow[]>();
  for (const flow of flows) {
    const there = byTable.get(flow.table);
    if (there === undefined) byTable.set(flow.table, [flow]);
    else there.push(flow);
  }
  for (const table of byTable.values()) table.sort((a, b) => b.priority - a.priority);
  const walk = new Walk(byTable, inPort);
  walk.table(0, { fields: new Map(frame.fields).set("inPort", BigInt(inPort)), tags: [...frame.tags] });
  return { flows: walk.met, outputs: walk.outputs };
}

interface State {
  readonly fields: Map<FieldName, bigint>;
  readonly tags: number[];
}

class Walk {
  readonly met: Flow[] = [];
  readonly outputs: { readonly port: number; readonly tags: readonly number[] }[] = [];
  readonly #tables: ReadonlyMap<number, readonly Flow[]>;
  readonly #inPort: number;

  constructor(tables: ReadonlyMap<number, readonly Flow[]>, inPort: number) {
    this.#tables = tables;
    this.#inPort = inPort;
  }

  table(table: number, state: State): void {
    const found = this.#tables.get(table)?.find(({ match }) => match.every((field) => holds(field, state)));
    if (found === undefined || this.met.length >= longestWay) return;
    this.met.push(found);
    this.#do(found.actions ?? [], state);
    if (found.next !== undefined) this.table(found.next, state);
  }

  #do(actions: readonly Action[], state: State): void {
    for (const action of actions) {
      if (action.kind === "output") {
        // A frame never leaves by the port that it came in by.
        if (action.port !== this.#inPort) this.outputs.push({ port: action.port, tags: [...state.tags] });
      } else if (action.kind === "pushVlan") state.tags.unshift(0);
      else if (action.kind === "popVlan") state.tags.shift();
      else if (action.kind === "resubmit") this.table(action.table, state);
      else if (action.kind === "clone") {
        this.#do(action.actions, { fields: new Map(state.fields), tags: [...state.tags] });
      } else if (action.kind === "toController") continue;
      else if (action.field === "vlanVid") state.tags[0] = Number(action.value & 0xfffn);
      else state.fields.set(action.field, action.value);
    }
  }
}

function holds({ field, value, mask }: FieldMatch, { fields, tags }: State): boolean {
  const now = field === "vlanVid" ? BigInt(tags[0] === undefined ? 0 : 0x1000 | tags[0]) : fields.get(field);
  // Registers begin with 0; what a frame does not have matches nothing.
  const known = now ?? (field.startsWith("reg") ? 0n : undefined);
  if (known === undefined) return false;
  return mask === undefined ? known === value : (known & mask) === (value & mask);
}
