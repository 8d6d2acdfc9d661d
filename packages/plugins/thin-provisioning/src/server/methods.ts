import type { Json } from "@vdc-os/core";
import type { DataPlaneMethod } from "@vdc-os/core/remote";
import { z } from "zod";
import { keysOnTheWire, VolumeKeys } from "../volume-keys.ts";
import type { StorageServer } from "./storage-server.ts";

const volumeId = z.string();
const owner = z.object({ volumeId, generation: z.int().positive() });
const volume = z.object({ volumeId });
const keys = keysOnTheWire.optional();
const attaching = owner.extend({ keys });
const snapshot = z.object({ volumeId, snapshotId: z.string() });
const showing = snapshot.extend({ keys });
const unlocking = z.object({ volumeId, snapshotId: z.string().optional(), keys: keysOnTheWire });
const layer = owner.extend({ snapshotId: z.string() });
const taking = layer.extend({ clusterBytes: z.int(), holdId: z.string().optional(), keys });
const holding = owner.extend({ holdId: z.string(), timeoutMs: z.int().positive().max(60_000) });
const releasing = owner.extend({ holdId: z.string() });
const growing = owner.extend({ capacityBytes: z.int().positive() });
const asking = owner.extend({ checkpoint: z.string().optional(), offset: z.int().nonnegative() });

/** The control protocol of a storage process. */
export function storageMethods(server: StorageServer): Readonly<Record<string, DataPlaneMethod>> {
  return {
    attach: (params) => server.attach(attaching.parse(params)),
    revoke: (params) => server.revoke(owner.parse(params)),
    status: () => server.status(),
    refresh: (params) => server.refresh(owner.parse(params)),
    attachSnapshot: (params) => server.attachSnapshot(showing.parse(params)),
    detachSnapshot: (params) => server.detachSnapshot(snapshot.parse(params)),

    unlock: (params) => server.unlock(unlocking.parse(params)),
    rotateKey: (params) => {
      const { keys, ...input } = attaching.parse(params);
      return server.withOwner(input, async (served): Promise<Json> => {
        if (keys !== undefined) served.keys.replace(keys);
        await served.rotateKey(VolumeKeys.of(keys));
        return null;
      });
    },

    copyUp: (params, { signal }) => {
      const input = volume.parse(params);
      return server.job(input.volumeId, `copying up '${input.volumeId}'`, (served) => served.copyUp(signal));
    },
    reclaim: (params, { signal }) => {
      const input = volume.parse(params);
      return server.job(input.volumeId, `reclaiming '${input.volumeId}'`, (served) => served.reclaim(signal));
    },
    merge: (params, { signal }) => {
      const { snapshotId, ...input } = layer.parse(params);
      return server.job(input.volumeId, `merging '${snapshotId}'`, (served) => served.merge(snapshotId, signal));
    },

    snapshot: (params) => {
      const { snapshotId, clusterBytes, holdId, keys, ...input } = taking.parse(params);
      return server.withOwner(input, async (served): Promise<Json> => {
        await served.snapshot({ snapshotId, clusterBytes, holdId, keys: VolumeKeys.of(keys) });
        return null;
      });
    },
    settle: (params) => {
      const { snapshotId, ...input } = layer.parse(params);
      return server.withOwner(input, (served): Json => ({ done: served.isSnapshotDone(snapshotId) }));
    },
    hold: (params) => {
      const { holdId, timeoutMs, ...input } = holding.parse(params);
      return server.withOwner(input, (served): Json => {
        served.hold(holdId, timeoutMs);
        return null;
      });
    },
    release: (params) => {
      const { holdId, ...input } = releasing.parse(params);
      return server.withOwner(input, (served): Json => {
        served.release(holdId);
        return null;
      });
    },
    reopen: (params) =>
      server.withOwner(owner.parse(params), async (served): Promise<Json> => {
        await served.reopen();
        return null;
      }),
    resize: (params) => {
      const { capacityBytes, ...input } = growing.parse(params);
      return server.withOwner(input, async (served): Promise<Json> => {
        await served.resize(capacityBytes);
        return { capacityBytes: served.image.sizeBytes };
      });
    },
    ranges: (params) => {
      const { checkpoint, offset, ...input } = asking.parse(params);
      return server.withOwner(input, (served): Json => {
        const { ranges, next } = served.ranges(checkpoint, offset);
        return { ranges: ranges.map((range) => ({ ...range })), ...(next === undefined ? {} : { next }) };
      });
    },
  };
}
