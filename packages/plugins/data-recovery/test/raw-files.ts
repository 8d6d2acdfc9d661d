import { existsSync, readFileSync, rmSync, writeFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { type Description, VdcError } from "@vdc-os/core";
import type { Attachment, AttachVolume, CreateVolume, StorageProvider, Volume } from "@vdc-os/core/storage/v1";

/** What is kept of each volume, in a file beside its content. */
interface VolumeFile {
  readonly volume: Volume;
  readonly attachment?: Attachment;
}

/**
 * Volumes as raw files in a folder, with no facets: what a data mover in a process of its own, which is killed, can share with the test that kills it. It
 * does what that needs, and no more.
 */
export function rawFiles(folder: string): StorageProvider {
  const pathOf = (volumeId: string): string => join(folder, `${volumeId}.raw`);
  const recordOf = (volumeId: string): string => join(folder, `${volumeId}.json`);
  const load = (volumeId: string): VolumeFile => {
    if (!existsSync(recordOf(volumeId))) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return JSON.parse(readFileSync(recordOf(volumeId), "utf8")) as VolumeFile;
  };
  const save = (file: VolumeFile): void => writeFileSync(recordOf(file.volume.volumeId), JSON.stringify(file));
  const unused = (): never => {
    throw new VdcError("UNIMPLEMENTED", "the test does not need it");
  };
  return {
    async describe(): Promise<Description> {
      return { implementation: { name: "raw-files", version: "1.0.0", simulated: true }, facets: {}, attributes: {} };
    },
    async createVolume(input: CreateVolume): Promise<Volume> {
      const { name, capacityBytes, owner } = input;
      if (existsSync(recordOf(name))) {
        const { volume } = load(name);
        if (volume.owner?.uid === owner?.uid) return volume;
        throw new VdcError("ALREADY_EXISTS", `there is a volume '${name}'`);
      }
      writeFileSync(pathOf(name), "");
      truncateSync(pathOf(name), capacityBytes);
      const sizes = { capacityBytes, allocatedBytes: 0, exclusiveBytes: 0 };
      const volume = { volumeId: name, name, ...sizes, createdAt: 0, parameters: {} };
      save({ volume: owner === undefined ? volume : { ...volume, owner } });
      return load(name).volume;
    },
    async deleteVolume({ volumeId }) {
      rmSync(pathOf(volumeId), { force: true });
      rmSync(recordOf(volumeId), { force: true });
    },
    getVolume: async ({ volumeId }) => load(volumeId).volume,
    async listVolumes({ name = "" }) {
      return { items: existsSync(recordOf(name)) ? [load(name).volume] : [] };
    },
    async attachVolume(input: AttachVolume): Promise<Attachment> {
      const { volumeId, host, access, generation } = input;
      const transport = { kind: "file", path: pathOf(volumeId), format: "raw" } as const;
      const attachment = { volumeId, host, access, generation, transport, fencing: "none", loses: {} } as const;
      save({ ...load(volumeId), attachment });
      return attachment;
    },
    async detachVolume({ volumeId }) {
      if (existsSync(recordOf(volumeId))) save({ volume: load(volumeId).volume });
    },
    async getAttachment({ volumeId }) {
      const { attachment } = load(volumeId);
      return attachment === undefined ? {} : { attachment };
    },
    capacity: unused,
    revokeAttachment: unused,
    health: unused,
  };
}
