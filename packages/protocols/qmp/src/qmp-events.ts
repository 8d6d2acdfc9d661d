/** When an event happened by the clock of the host. QEMU sends -1 in both fields when it could not read the clock. */
export interface QmpTimestamp {
  readonly seconds: number;
  readonly microseconds: number;
}

/**
 * The data of the events that a hypervisor lives by, by name, as QEMU's QAPI schema names the fields (`qapi/run-state.json`,
 * `qapi/qdev.json`, `qapi/block-core.json`, `qapi/net.json`, `qapi/job.json`, `qapi/migration.json`).
 */
export interface QmpEventData {
  readonly SHUTDOWN: { readonly guest: boolean; readonly reason: string };
  readonly POWERDOWN: Record<string, never>;
  readonly RESET: { readonly guest: boolean; readonly reason: string };
  readonly STOP: Record<string, never>;
  readonly RESUME: Record<string, never>;
  readonly SUSPEND: Record<string, never>;
  readonly WAKEUP: Record<string, never>;
  readonly GUEST_PANICKED: { readonly action: string; readonly info?: Readonly<Record<string, unknown>> };
  readonly WATCHDOG: { readonly action: string };
  readonly DEVICE_DELETED: { readonly device?: string; readonly path: string };
  readonly DEVICE_UNPLUG_GUEST_ERROR: { readonly device?: string; readonly path: string };
  readonly BLOCK_IO_ERROR: {
    readonly device: string;
    readonly "node-name"?: string;
    readonly operation: "read" | "write";
    readonly action: "ignore" | "report" | "stop";
    readonly nospace?: boolean;
    readonly reason: string;
  };
  readonly JOB_STATUS_CHANGE: { readonly id: string; readonly status: string };
  readonly BLOCK_JOB_COMPLETED: BlockJobEvent & { readonly error?: string };
  readonly BLOCK_JOB_CANCELLED: BlockJobEvent;
  readonly BLOCK_JOB_READY: BlockJobEvent;
  readonly NIC_RX_FILTER_CHANGED: { readonly name?: string; readonly path: string };
  readonly RTC_CHANGE: { readonly offset: number };
  readonly BALLOON_CHANGE: { readonly actual: number };
  readonly MIGRATION: { readonly status: string };
}

/** What the block job events have in common: sizes in bytes, speed in bytes a second (0 = unlimited). */
export interface BlockJobEvent {
  readonly type: string;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly speed: number;
}

/** A known event's name, or any other. */
export type QmpEventName = keyof QmpEventData | (string & {});

/** An event as the server sent it. The data of an event is not checked against the schema: the peer is the QEMU that you started. */
export interface QmpEvent<N extends string = string> {
  readonly event: N;
  readonly data: N extends keyof QmpEventData ? QmpEventData[N] : Readonly<Record<string, unknown>>;
  readonly timestamp: QmpTimestamp;
}
