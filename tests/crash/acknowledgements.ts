import { isDeepStrictEqual } from "node:util";
import type { ManagerLine, Operation, SeenObject, Snapshot } from "./manager-protocol.ts";

/** What an object may be. Several, where a call was not answered. */
type Possibility = { readonly spec: Readonly<Record<string, unknown>> } | "absent";

/**
 * What a user of the datacenter knows from the answers that were given: what must be there, what must be gone, and what may be either because a call was not
 * answered before the kill.
 */
export class Acknowledgements {
  readonly #possible = new Map<string, readonly Possibility[]>();
  readonly #asked = new Map<number, { readonly operation: Operation; readonly before: readonly Possibility[] }>();

  /** A new process: its calls are counted from 0, and those of the one before are not going to be answered. */
  begin(): void {
    this.#asked.clear();
  }

  /** The whole datacenter was asked to go, and that was not answered: each object may be there or not. */
  destroying(): void {
    for (const [key, possibilities] of this.#possible) this.#possible.set(key, [...possibilities, "absent"]);
  }

  hear(line: ManagerLine): void {
    if (line.line === "asking") {
      const { operation } = line;
      const key = keyOf(operation);
      const before = this.#possible.get(key) ?? ["absent"];
      this.#asked.set(line.id, { operation, before });
      this.#possible.set(key, [...before, ...before.flatMap((possibility) => outcome(possibility, operation))]);
    }
    if (line.line === "accepted" || line.line === "refused") {
      const asked = this.#asked.get(line.id);
      if (asked === undefined) return;
      const { operation, before } = asked;
      const after =
        line.line === "accepted" ? before.flatMap((possibility) => outcome(possibility, operation)) : before;
      this.#possible.set(keyOf(operation), after);
    }
  }

  /** What in a converged datacenter is not as it was acknowledged. From now on what is there is what is known. */
  judge(snapshot: Snapshot): readonly string[] {
    const problems: string[] = [];
    const seen = new Map(snapshot.objects.filter(isUsers).map((object) => [keyOf(object), object]));
    for (const [key, possibilities] of this.#possible) {
      const object = seen.get(key);
      if (!possibilities.some((possibility) => matches(possibility, object))) {
        const is = object === undefined ? "absent" : JSON.stringify(object.spec);
        problems.push(`${key} is ${is}, and was acknowledged as ${JSON.stringify(possibilities)}`);
      }
    }
    for (const key of seen.keys()) if (!this.#possible.has(key)) problems.push(`nobody asked for ${key}`);
    for (const key of this.#possible.keys()) this.#possible.set(key, ["absent"]);
    for (const [key, { spec }] of seen) this.#possible.set(key, [{ spec }]);
    return problems;
  }
}

function keyOf({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `${kind} '${name}'`;
}

/** A VM's own volumes are made by its controller. */
function isUsers({ kind, name }: SeenObject): boolean {
  return kind !== "Volume" || /^(root|empty)-/.test(name);
}

function outcome(before: Possibility, operation: Operation): readonly Possibility[] {
  switch (operation.type) {
    case "create":
      return [{ spec: operation.spec as Readonly<Record<string, unknown>> }];
    case "change":
      return before === "absent" ? [] : [{ spec: { ...before.spec, ...operation.change } }];
    case "delete":
      return ["absent"];
  }
}

/** Whether an object is what it may be: the spec that was asked for says nothing of what was left to default. */
function matches(possibility: Possibility, object: SeenObject | undefined): boolean {
  if (possibility === "absent" || object === undefined) return possibility === "absent" && object === undefined;
  return includes(object.spec, possibility.spec);
}

function includes(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part) && Array.isArray(whole)) {
    return part.length === whole.length && part.every((item, index) => includes(whole[index], item));
  }
  if (typeof part === "object" && part !== null && typeof whole === "object" && whole !== null) {
    return Object.entries(part).every(([name, value]) => includes((whole as Record<string, unknown>)[name], value));
  }
  return isDeepStrictEqual(whole, part);
}
