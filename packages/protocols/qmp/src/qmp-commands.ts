/** An object of the QAPI schema that this package does not describe further. */
export type QmpObject = Readonly<Record<string, unknown>>;

/** The answer of a command that has nothing to say. */
export type QmpEmpty = Readonly<Record<string, never>>;

/** `qapi/run-state.json`: RunState. Later versions of QEMU may add states. */
export type RunState =
  | "debug"
  | "inmigrate"
  | "internal-error"
  | "io-error"
  | "paused"
  | "postmigrate"
  | "prelaunch"
  | "finish-migrate"
  | "restore-vm"
  | "running"
  | "save-vm"
  | "shutdown"
  | "suspended"
  | "watchdog"
  | "guest-panicked"
  | "colo";

/** `qapi/run-state.json`: StatusInfo. */
export interface StatusInfo {
  readonly status: RunState;
  /** True when the virtual CPUs run. */
  readonly running: boolean;
}

/** `qapi/control.json`: VersionInfo. */
export interface VersionInfo {
  readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number };
  /** What the distributor added, often empty. */
  readonly package: string;
}

/** `qapi/machine.json`: CpuInfoFast. */
export interface CpuInfoFast {
  readonly "cpu-index": number;
  readonly "qom-path": string;
  /** The host's thread that runs this CPU. */
  readonly "thread-id": number;
  readonly props?: QmpObject;
  readonly target: string;
}

/** `qapi/block-core.json`: BlockStats, the counters that are always there. Bytes, operations and nanoseconds since the start. */
export interface BlockStats {
  readonly device?: string;
  readonly qdev?: string;
  readonly "node-name"?: string;
  readonly stats: {
    readonly rd_bytes: number;
    readonly wr_bytes: number;
    readonly rd_operations: number;
    readonly wr_operations: number;
    readonly flush_operations: number;
    readonly rd_total_time_ns: number;
    readonly wr_total_time_ns: number;
    readonly flush_total_time_ns: number;
    readonly wr_highest_offset: number;
    readonly failed_rd_operations: number;
    readonly failed_wr_operations: number;
    readonly failed_flush_operations: number;
  } & QmpObject;
  readonly parent?: BlockStats;
  readonly backing?: BlockStats;
}

/** `qapi/job.json`: JobInfo. */
export interface JobInfo {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly "current-progress": number;
  readonly "total-progress": number;
  readonly error?: string;
}

/** `qapi/migration.json`: MigrationInfo, what is common to its phases. */
export interface MigrationInfo {
  readonly status?: string;
  readonly "total-time"?: number;
  readonly downtime?: number;
  readonly "error-desc"?: string;
  readonly ram?: QmpObject;
}

/** The shape of one command: what it takes and what it answers. */
export interface QmpCommandShape<A, R> {
  readonly arguments: A;
  readonly result: R;
}

/** The commands that a hypervisor plugin uses, by name. Every other command can be executed too, with untyped arguments and result. */
export interface QmpCommands {
  readonly "query-status": QmpCommandShape<QmpEmpty, StatusInfo>;
  readonly "query-version": QmpCommandShape<QmpEmpty, VersionInfo>;
  readonly "query-cpus-fast": QmpCommandShape<QmpEmpty, readonly CpuInfoFast[]>;
  readonly "query-blockstats": QmpCommandShape<{ readonly "query-nodes"?: boolean }, readonly BlockStats[]>;
  readonly "query-name": QmpCommandShape<QmpEmpty, { readonly name?: string }>;
  readonly "query-uuid": QmpCommandShape<QmpEmpty, { readonly UUID: string }>;
  readonly "query-kvm": QmpCommandShape<QmpEmpty, { readonly enabled: boolean; readonly present: boolean }>;
  readonly "query-balloon": QmpCommandShape<QmpEmpty, { readonly actual: number }>;
  readonly "query-jobs": QmpCommandShape<QmpEmpty, readonly JobInfo[]>;
  readonly "query-migrate": QmpCommandShape<QmpEmpty, MigrationInfo>;
  readonly "query-memory-size-summary": QmpCommandShape<
    QmpEmpty,
    { readonly "base-memory": number; readonly "plugged-memory"?: number }
  >;
  readonly "query-commands": QmpCommandShape<QmpEmpty, readonly { readonly name: string }[]>;
  readonly "query-named-block-nodes": QmpCommandShape<{ readonly flat?: boolean }, readonly QmpObject[]>;
  readonly "qom-get": QmpCommandShape<{ readonly path: string; readonly property: string }, unknown>;
  readonly "qom-set": QmpCommandShape<
    { readonly path: string; readonly property: string; readonly value: unknown },
    QmpEmpty
  >;
  readonly "qom-list": QmpCommandShape<
    { readonly path: string },
    readonly { readonly name: string; readonly type: string }[]
  >;
  readonly system_powerdown: QmpCommandShape<QmpEmpty, QmpEmpty>;
  readonly system_reset: QmpCommandShape<QmpEmpty, QmpEmpty>;
  readonly quit: QmpCommandShape<QmpEmpty, QmpEmpty>;
  readonly stop: QmpCommandShape<QmpEmpty, QmpEmpty>;
  readonly cont: QmpCommandShape<QmpEmpty, QmpEmpty>;
  readonly "blockdev-add": QmpCommandShape<
    { readonly driver: string; readonly "node-name"?: string } & QmpObject,
    QmpEmpty
  >;
  readonly "blockdev-del": QmpCommandShape<{ readonly "node-name": string }, QmpEmpty>;
  readonly block_resize: QmpCommandShape<
    { readonly "node-name"?: string; readonly device?: string; readonly size: number },
    QmpEmpty
  >;
  readonly device_add: QmpCommandShape<
    { readonly driver: string; readonly id?: string; readonly bus?: string } & QmpObject,
    QmpEmpty
  >;
  /** The answer says that the guest was asked; the device is gone when `DEVICE_DELETED` arrives. */
  readonly device_del: QmpCommandShape<{ readonly id: string }, QmpEmpty>;
  readonly netdev_add: QmpCommandShape<{ readonly type: string; readonly id: string } & QmpObject, QmpEmpty>;
  readonly netdev_del: QmpCommandShape<{ readonly id: string }, QmpEmpty>;
  readonly "object-add": QmpCommandShape<{ readonly "qom-type": string; readonly id: string } & QmpObject, QmpEmpty>;
  readonly "object-del": QmpCommandShape<{ readonly id: string }, QmpEmpty>;
  readonly "chardev-add": QmpCommandShape<{ readonly id: string; readonly backend: QmpObject }, QmpObject>;
  readonly "chardev-remove": QmpCommandShape<{ readonly id: string }, QmpEmpty>;
  readonly set_link: QmpCommandShape<{ readonly name: string; readonly up: boolean }, QmpEmpty>;
  readonly balloon: QmpCommandShape<{ readonly value: number }, QmpEmpty>;
  readonly migrate: QmpCommandShape<{ readonly uri?: string } & QmpObject, QmpEmpty>;
  readonly "migrate-set-capabilities": QmpCommandShape<
    { readonly capabilities: readonly { readonly capability: string; readonly state: boolean }[] },
    QmpEmpty
  >;
  readonly "migrate-set-parameters": QmpCommandShape<QmpObject, QmpEmpty>;
  readonly migrate_cancel: QmpCommandShape<QmpEmpty, QmpEmpty>;
  /** Runs a command of the human monitor and answers its text. Its errors are in the text, not in the answer's code. */
  readonly "human-monitor-command": QmpCommandShape<
    { readonly "command-line": string; readonly "cpu-index"?: number },
    string
  >;
}

/** A described command's name, or any other. */
export type QmpCommandName = keyof QmpCommands | (string & {});

/** What a command takes. */
export type QmpArguments<C extends string> = C extends keyof QmpCommands ? QmpCommands[C]["arguments"] : QmpObject;

/** What a command answers; `unknown` for commands that are not described. */
export type QmpResult<C extends string> = C extends keyof QmpCommands ? QmpCommands[C]["result"] : unknown;
