import type { OwnerStamp } from "@vdc-os/core";
import type { Intent } from "./intent-journal.ts";

/** Something that a provider lists. */
export interface ObservedExternal {
  readonly provider: string;
  /** The name or id that it has there. */
  readonly externalName: string;
  /** The stamp that it bears; none when somebody made it who stamps nothing. */
  readonly owner?: OwnerStamp | undefined;
}

/** An observed thing, and why it is where it is in {@link SweepPlan}. */
export interface SweepFinding {
  readonly external: ObservedExternal;
  readonly reason: string;
}

/** What {@link findOrphans} found. Every observed thing is in exactly one of the lists. */
export interface SweepPlan {
  /** Ours, and of no object: to be deleted. */
  readonly orphans: readonly SweepFinding[];
  /** Ours and of no object, but something about that name is under way: looked at again later. */
  readonly deferred: readonly SweepFinding[];
  /** Of an object that there is. */
  readonly inUse: readonly ObservedExternal[];
  /** Another datacenter's, or without a stamp: reported, never touched. */
  readonly foreign: readonly SweepFinding[];
  /** Intents of objects that are gone, of which nothing is left outside: to be struck out. */
  readonly settled: readonly Intent[];
}

/** What {@link findOrphans} works from. */
export interface FindOrphansInput {
  readonly datacenter: string;
  /** What the providers list. It must have been read before `objects`: an object is committed before anything is made for it. */
  readonly observed: readonly ObservedExternal[];
  /** The uids of all objects that there are. */
  readonly objects: ReadonlySet<string>;
  /** The journal's pending intents. */
  readonly pending: readonly Intent[];
  /** The time now, in milliseconds since 1970. */
  readonly now: number;
  /** How long an intent may be under way although its object is gone, in milliseconds. */
  readonly graceMs: number;
}

/** Tells what a crash left behind from what is in use, what is under way, and what is somebody else's. Pure. */
export function findOrphans(input: FindOrphansInput): SweepPlan {
  const { datacenter, observed, objects, pending, now, graceMs } = input;
  const plan = {
    orphans: [] as SweepFinding[],
    deferred: [] as SweepFinding[],
    inUse: [] as ObservedExternal[],
    foreign: [] as SweepFinding[],
  };
  for (const external of observed) {
    const { owner } = external;
    if (owner === undefined) {
      plan.foreign.push({ external, reason: "it bears no owner stamp" });
    } else if (owner.datacenter !== datacenter) {
      plan.foreign.push({ external, reason: `it belongs to datacenter '${owner.datacenter}'` });
    } else if (objects.has(owner.uid)) {
      plan.inUse.push(external);
    } else {
      const about = pending.filter((intent) => isAbout(intent, external));
      const underWay = about.find(
        (intent) =>
          (intent.target.uid !== owner.uid && objects.has(intent.target.uid)) || now - intent.beganAt < graceMs,
      );
      const object = `${owner.kind} '${owner.name}' (${owner.uid})`;
      if (underWay === undefined) plan.orphans.push({ external, reason: `${object} is gone` });
      else plan.deferred.push({ external, reason: `${object} is gone, but '${underWay.action}' is under way` });
    }
  }
  const settled = pending.filter(
    (intent) =>
      !objects.has(intent.target.uid) &&
      now - intent.beganAt >= graceMs &&
      !observed.some((external) => isAbout(intent, external) && external.owner?.datacenter === datacenter),
  );
  return { ...plan, settled };
}

/** Whether an intent speaks of this thing. */
export function isAbout(intent: Intent, external: ObservedExternal): boolean {
  return intent.provider === external.provider && intent.externalName === external.externalName;
}
