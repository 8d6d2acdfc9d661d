/** What a manager process is told, as one line of JSON in its standard input. */
export interface ManagerSettings {
  readonly directory: string;
  /** Where the key of the secrets and the image files lie: not in the datacenter's folder. */
  readonly outside: string;
  readonly virtualMachines: boolean;
  readonly seed: number;
  /** After how long, in milliseconds, it lets everything settle once more before it goes on working. */
  readonly restAfterMs?: number;
  /** When it kills itself. Without it, it works until it is killed. */
  readonly kill?: KillPoint;
  /** Whether it destroys the datacenter once it has converged, and ends. */
  readonly destroy: boolean;
}

/** When a process kills itself: before or after one of its side effects. */
export interface KillPoint {
  /** Which part of its life the effects are counted in: until everything has converged, from then on, or while it destroys the datacenter. */
  readonly phase: "opening" | "working" | "destroying";
  /** Counted from 1. */
  readonly effect: number;
  readonly moment: "before" | "after";
}

/** An object, as a call names it. */
export interface ObjectRef {
  readonly kind: "Volume" | "Image" | "Switch" | "VirtualMachine";
  readonly name: string;
}

/** What a user asks for. */
export type Operation =
  | (ObjectRef & { readonly type: "create"; readonly spec: unknown })
  | (ObjectRef & { readonly type: "change"; readonly change: Readonly<Record<string, unknown>> })
  | (ObjectRef & { readonly type: "delete" });

/** An object of the inventory, as far as the test judges it. */
export interface SeenObject extends ObjectRef {
  readonly uid: string;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>>;
  /** Whether it is as it is asked for, in its present generation. */
  readonly ready: boolean;
  readonly leaving: boolean;
  /** Its conditions in words. */
  readonly detail: string;
}

/** What is there, in the inventory and outside. */
export interface Snapshot {
  readonly objects: readonly SeenObject[];
  readonly unfinishedTasks: readonly string[];
  readonly pendingIntents: readonly string[];
  /** What the upper storage provider lists. */
  readonly volumes: readonly { readonly volumeId: string; readonly ownerUid: string }[];
  /** Volumes that have an owner at the provider. */
  readonly attachments: readonly { readonly volumeId: string; readonly host: string; readonly generation: number }[];
  readonly lineage: readonly {
    readonly volumeId: string;
    readonly tombstoned: boolean;
    readonly children: readonly string[];
  }[];
  /** What the lower storage provider lists. */
  readonly poolVolumes: readonly string[];
  readonly switches: readonly {
    readonly switchId: string;
    readonly ports: readonly { readonly portKey: string; readonly host: string; readonly generation: number }[];
  }[];
  readonly vms: readonly {
    readonly host: string;
    readonly vmId: string;
    readonly ownerUid: string;
    readonly state: string;
    readonly generation: number | undefined;
  }[];
}

/** What a manager process says: a line of JSON each, written before it goes on. */
export type ManagerLine =
  | { readonly line: "opened"; readonly uid: string; readonly ms: number }
  /** Everything seems to be as asked, or the time for that is over. */
  | { readonly line: "settled"; readonly timeIsOver: boolean; readonly ms: number; readonly snapshot: Snapshot }
  | { readonly line: "asking"; readonly id: number; readonly operation: Operation }
  | { readonly line: "accepted"; readonly id: number }
  | { readonly line: "refused"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly line: "done"; readonly id: number }
  | { readonly line: "failed"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly line: "log"; readonly text: string }
  | { readonly line: "destroyed" };
