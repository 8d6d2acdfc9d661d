import type { OwnerStamp } from "@vdc-os/core";
import type { CreateVm, DiskMigration, PowerState, Vm, VmSpec } from "@vdc-os/core/compute/v1";
import { GuestConsole } from "./guest-console.ts";
import type { SimulatedGuest } from "./simulated-guest.ts";

/** A machine, as its host keeps it. */
export interface VmRecord {
  readonly vmId: string;
  readonly name: string;
  readonly owner: OwnerStamp | undefined;
  /** What it was created with: only the same again is a repetition. */
  readonly asked: CreateVm;
  readonly console: GuestConsole;
  spec: VmSpec;
  state: PowerState;
  /** The highest generation that was seen; 0 before the first. */
  newest: number;
  /** The generation that it was last started with. */
  startedWith: number | undefined;
  startedAt: number | undefined;
  /** By the monotonic clock. */
  poweredOn: number;
  detail: string | undefined;
  guest: SimulatedGuest | undefined;
  /** The last migration of each disk. */
  readonly migrations: Map<string, DiskMigration>;
}

/** A machine that is off. */
export function newVmRecord(vmId: string, asked: CreateVm): VmRecord {
  return {
    vmId,
    name: asked.name,
    owner: asked.owner,
    asked,
    console: new GuestConsole(),
    spec: asked.spec,
    state: "off",
    newest: 0,
    startedWith: undefined,
    startedAt: undefined,
    poweredOn: 0,
    detail: undefined,
    guest: undefined,
    migrations: new Map(),
  };
}

/** Whether anything of a machine runs. */
export function isOn({ state }: VmRecord): boolean {
  return state !== "off" && state !== "crashed";
}

/** A machine, as others see it. */
export function toVm(record: VmRecord): Vm {
  const { vmId, name, spec, state, startedWith, startedAt, detail, owner } = record;
  return {
    vmId,
    name,
    spec,
    state,
    ...(startedWith === undefined ? {} : { generation: startedWith }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(detail === undefined ? {} : { detail }),
    ...(owner === undefined ? {} : { owner }),
  };
}
