import { type ModelDisk, unitBytes } from "./model-disk.ts";

/** What must be true of a pool after a crash from an event on, until the next moment. */
export interface Moment {
  readonly events: number;
  /** The disks that a volume may be, by its id. Without any, it may be absent; `undefined` among them means the same. */
  readonly volumes: ReadonlyMap<string, readonly (ModelDisk | undefined)[]>;
  readonly snapshots: ReadonlyMap<string, readonly (ModelDisk | undefined)[]>;
  /** By checkpoint: what the volume may have held when it was made, and whether it may be broken. */
  readonly checkpoints: ReadonlyMap<string, CheckpointModel>;
}

/** A checkpoint that was acknowledged. */
export interface CheckpointModel {
  readonly volumeId: string;
  readonly disk: ModelDisk;
  readonly mayBeBroken: boolean;
}

/** Keeps the moments of a run: `note` copies everything, before and after each thing that changes something. */
export class CrashWorld {
  readonly units: number;
  readonly volumes: Map<string, (ModelDisk | undefined)[]> = new Map();
  readonly snapshots: Map<string, (ModelDisk | undefined)[]> = new Map();
  readonly checkpoints: Map<string, CheckpointModel> = new Map();
  readonly moments: Moment[] = [];
  /** Between which events keys were changed. */
  readonly keyChanges: (readonly [began: number, ended: number])[] = [];
  readonly #position: () => number;

  /** `position` tells how many events have happened. */
  constructor(units: number, position: () => number) {
    this.units = units;
    this.#position = position;
    this.note();
  }

  note(): void {
    const copy = (disks: Map<string, (ModelDisk | undefined)[]>): Moment["volumes"] =>
      new Map([...disks].map(([id, all]) => [id, all.map((disk) => disk?.copy())]));
    this.moments.push({
      events: this.#position(),
      volumes: copy(this.volumes),
      snapshots: copy(this.snapshots),
      checkpoints: new Map([...this.checkpoints].map(([id, model]) => [id, { ...model, disk: model.disk.copy() }])),
    });
  }

  /** The one disk that a volume is now. */
  disk(volumeId: string): ModelDisk {
    return presentOf(this.volumes, volumeId);
  }

  /** What a snapshot holds. */
  snapshot(snapshotId: string): ModelDisk {
    return presentOf(this.snapshots, snapshotId);
  }

  /** What had to be true when a number of events had happened. */
  at(events: number): Moment {
    const moment = this.moments.findLast((candidate) => candidate.events <= events) ?? this.moments[0];
    if (moment === undefined) throw new Error("nothing was noted");
    return moment;
  }
}

function presentOf(disks: ReadonlyMap<string, readonly (ModelDisk | undefined)[]>, id: string): ModelDisk {
  const disk = disks.get(id)?.[0];
  if (disk === undefined) throw new Error(`there is no disk '${id}'`);
  return disk;
}

/** The values in a unit of a reading, one for each sector, since a power loss may tear a write between any two. */
function valuesOf(data: Buffer, unit: number): readonly number[] {
  const values: number[] = [];
  for (let at = unit * unitBytes; at < (unit + 1) * unitBytes; at += 512) {
    const sector = data.subarray(at, at + 512);
    values.push(sector.equals(Buffer.alloc(512, sector[0])) ? (sector[0] as number) : Number.NaN);
  }
  return values;
}

/** The units of a reading that hold what a disk may not hold. */
export function differingUnits(data: Buffer, disk: ModelDisk): number[] {
  return Array.from({ length: disk.units }, (_, unit) => unit).filter((unit) =>
    valuesOf(data, unit).some((value) => !disk.mayHold(unit, value)),
  );
}

/** Why a reading is none of the disks that it may be; `undefined` when it is one. */
export function mismatch(data: Buffer, disks: readonly (ModelDisk | undefined)[]): string | undefined {
  const reasons = disks.map((disk) => {
    if (disk === undefined) return "it may be absent";
    const [unit] = differingUnits(data, disk);
    if (unit === undefined) return undefined;
    return `unit ${unit} holds ${[...new Set(valuesOf(data, unit))]}, and not ${disk.present(unit)}`;
  });
  return reasons.includes(undefined) ? undefined : reasons.join("; or ");
}
