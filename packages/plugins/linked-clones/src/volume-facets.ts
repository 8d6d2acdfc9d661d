import type { ImportExportFacet, ResizeFacet } from "@vdc-os/core/storage/v1";
import { toldToCaller } from "./callers-words.ts";
import type { CloneEngine } from "./clone-engine.ts";
import { volumeView } from "./volume-view.ts";

/** Facet `resize` of the provider underneath. A volume that was cut short may have got a copy of its own. */
export function resizeFacet(engine: CloneEngine): ResizeFacet {
  const { base, catalog } = engine.services;
  return {
    resizeVolume: async (input, context) => {
      const { volumeId } = input;
      await catalog.get(volumeId, context);
      const resize = await base.facet("resize", context);
      const run = () => toldToCaller(resize.resizeVolume(input, context));
      const volume = await engine.parentMayGo(volumeId, "resize", run, context);
      return volumeView({ record: (await catalog.get(volumeId, context)).value, volume });
    },
  };
}

/** Facet `importExport` of the provider underneath. */
export function importExportFacet(engine: CloneEngine): ImportExportFacet {
  const { base, catalog } = engine.services;
  return {
    importVolume: async (input, context) => {
      const { name, source, capacityBytes, owner } = input;
      const transfer = await base.facet("importExport", context);
      const made = await engine.create(
        {
          name,
          request: { kind: "import", imagePath: source.path, imageFormat: source.format, capacityBytes, owner },
          make: async (baseName) => {
            const { owner: _, ...unstamped } = input;
            return { volume: await toldToCaller(transfer.importVolume({ ...unstamped, name: baseName }, context)) };
          },
        },
        context,
      );
      return volumeView(made);
    },
    exportVolume: async (input, context) => {
      await catalog.get(input.volumeId, context);
      await toldToCaller((await base.facet("importExport", context)).exportVolume(input, context));
    },
  };
}
