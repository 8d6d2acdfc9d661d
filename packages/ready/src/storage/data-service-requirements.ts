import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  blockOf,
  create,
  limitsOf,
  mib,
  mustHold,
  namesOf,
  type StorageRequirement,
  type StorageTest,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

function imagePath(test: StorageTest, name: string): string {
  return test.instance.imagePath?.(name) ?? test.skip("the factory gives no path for images");
}

function formats(test: StorageTest, which: "importFormats" | "exportFormats"): readonly string[] {
  const names = limitsOf(test, "importExport")[which];
  return Array.isArray(names) ? (names as readonly string[]) : [];
}

/** Facets `resize` and `importExport`. */
export const dataServiceRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.resize.grow",
    title: "a volume that grew holds what it held, and zeroes behind it",
    clause: "resizeVolume: Sets the virtual size.",
    level: "extended",
    facet: "resize",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 1023: 2 });
      const before = await test.provider.capacity({}, test.operation());
      for (const _ of ["at first", "and again"]) {
        const grown = await test.facet("resize").resizeVolume({ volumeId, capacityBytes: 8 * mib }, test.operation());
        mustEqual([grown.volumeId, grown.capacityBytes], [volumeId, 8 * mib], "a volume that grew");
      }
      const after = await test.provider.capacity({}, test.operation());
      mustEqual(after.provisionedBytes - before.provisionedBytes, 4 * mib, "what is promised in addition");
      await mustHold(test, volumeId, 2, { 0: 1, 1023: 2, 1024: 0, 2047: 0 });
      await writeBlocks(test, volumeId, 3, { 2047: 3 });
      mustEqual((await create(test, "disk")).volumeId, volumeId, "the id of a create that is repeated after a resize");
    },
  },
  {
    id: "storage.resize.shrink",
    title: "a volume is not made smaller unless that was allowed",
    clause:
      "resizeVolume: A smaller one fails with `OUT_OF_RANGE` unless `shrink` is available and `allowShrink` is set.",
    level: "extended",
    facet: "resize",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const call = test.facet("resize").resizeVolume({ volumeId, capacityBytes: 2 * mib }, test.operation());
      await mustReject(call, "OUT_OF_RANGE", "making a volume smaller");
      const { capacityBytes } = await test.provider.getVolume({ volumeId }, test.operation());
      mustEqual(capacityBytes, 4 * mib, "the size after a refused resize");
    },
  },
  {
    id: "storage.resize.attached",
    title: "a volume grows while it is attached, or says that it can't and stays as it was",
    clause: "resizeVolume: An attached volume fails with `FAILED_PRECONDITION` unless `online` is available.",
    level: "extended",
    facet: "resize",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const resize = test.facet("resize");
      await whileWritten(test, volumeId, 1, async (client) => {
        await client.write(0, blockOf(1));
        const call = resize.resizeVolume({ volumeId, capacityBytes: 8 * mib }, test.operation());
        if (limitsOf(test, "resize").online === true) {
          mustEqual((await call).capacityBytes, 8 * mib, "the size of a volume that grew while it was attached");
        } else {
          await mustReject(call, "FAILED_PRECONDITION", "growing an attached volume");
          const { capacityBytes } = await test.provider.getVolume({ volumeId }, test.operation());
          mustEqual(capacityBytes, 4 * mib, "the size after a refused resize");
        }
        await client.write(4096, blockOf(2));
        await client.flush();
      });
      await resize.resizeVolume({ volumeId, capacityBytes: 8 * mib }, test.operation());
      await writeBlocks(test, volumeId, 2, { 2047: 3 });
      await mustHold(test, volumeId, 3, { 0: 1, 1: 2, 1024: 0, 2047: 3 });
    },
  },
  {
    id: "storage.resize.cut",
    title: "what a shrink cut off never comes back; where there is no shrinking it is refused also when it is allowed",
    clause: "resizeVolume: What is added reads as zeroes, also where a shrink before had cut data off.",
    level: "extended",
    facet: "resize",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 511: 1, 512: 1, 1023: 1 });
      const resize = test.facet("resize");
      const cut = resize.resizeVolume({ volumeId, capacityBytes: 2 * mib, allowShrink: true }, test.operation());
      if (limitsOf(test, "resize").shrink !== true) {
        await mustReject(cut, "OUT_OF_RANGE", "shrinking where `shrink` is not available");
        await mustHold(test, volumeId, 2, { 0: 1, 511: 1, 512: 1, 1023: 1 });
        return;
      }
      mustEqual((await cut).capacityBytes, 2 * mib, "the size after a shrink");
      await mustHold(test, volumeId, 2, { 0: 1, 511: 1 });
      await resize.resizeVolume({ volumeId, capacityBytes: 4 * mib }, test.operation());
      await mustHold(test, volumeId, 3, { 0: 1, 511: 1, 512: 0, 1023: 0 });
    },
  },
  {
    id: "storage.import-export.round-trip",
    title: "what was exported is the same when it is imported",
    clause: "exportVolume: Writes a volume's content into a new file. importVolume: Makes a volume of an image.",
    level: "extended",
    facet: "importExport",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 1, 700: 2, 1023: 3 });
      const both = formats(test, "exportFormats").filter((format) => formats(test, "importFormats").includes(format));
      must(both.length > 0, "limits must name the formats");
      for (const format of both) {
        const path = imagePath(test, `image.${format}`);
        await test.facet("importExport").exportVolume({ volumeId, destination: { path, format } }, test.operation());
        const input = { name: `from-${format}`, source: { path, format } };
        const made = await test.facet("importExport").importVolume(input, test.operation());
        mustEqual(made.capacityBytes, 4 * mib, `the size of a volume that was imported from ${format}`);
        await mustHold(test, made.volumeId, 1, { 0: 1, 1: 0, 700: 2, 1023: 3 });
        const again = await test.facet("importExport").importVolume(input, test.operation());
        mustEqual(again.volumeId, made.volumeId, "the id of a repeated import");
      }
    },
  },
  {
    id: "storage.import-export.new-file",
    title: "an export never overwrites a file",
    clause: "exportVolume: Fails with `ALREADY_EXISTS` when there is one.",
    level: "extended",
    facet: "importExport",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const [format = "raw"] = formats(test, "exportFormats");
      const destination = { path: imagePath(test, "image"), format };
      await test.facet("importExport").exportVolume({ volumeId, destination }, test.operation());
      const again = test.facet("importExport").exportVolume({ volumeId, destination }, test.operation());
      await mustReject(again, "ALREADY_EXISTS", "an export over a file");
    },
  },
  {
    id: "storage.import-export.hostile",
    title: "an image that names other files, or is not what it is said to be, is refused and leaves nothing",
    clause:
      "ImportExportFacet: Images are inspected before they are read: backing files, external data and unknown features are refused.",
    level: "extended",
    facet: "importExport",
    async run(test) {
      const images = test.instance.hostileImages ?? [];
      if (images.length === 0) test.skip("the factory gives no hostile images");
      for (const source of images) {
        const call = test.facet("importExport").importVolume({ name: "disk", source }, test.operation());
        await mustReject(call, ["INVALID_ARGUMENT", "DATA_LOSS", "OUT_OF_RANGE"], `importing '${source.path}'`);
        mustEqual(await namesOf(test), [], "the names after a refused import");
      }
    },
  },
];
