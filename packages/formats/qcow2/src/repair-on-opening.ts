import { type Header, hasFeature, readHeader } from "./header.ts";
import { type OpenedFile, type OpenImageOptions, releaseOpened } from "./open-image.ts";
import { repairFile } from "./repair.ts";

/**
 * Puts right what the last writer left, before an image is opened for writing: everything when it is marked dirty, else what a crash of this engine can leave.
 * Returns the header as it is then. Leaves nothing open when it throws.
 */
export async function repairOnOpening(opened: OpenedFile, options: OpenImageOptions): Promise<Header> {
  const { file, header, lock } = opened;
  if (options.readOnly === true) return header;
  const { repairLeaks = "after-crash" } = options;
  const isDirty = hasFeature(header, "incompatible", 0);
  const leaksMatter =
    repairLeaks === "always" || (repairLeaks === "after-crash" && lock?.previousOwnerCrashed === true);
  if (!isDirty && !leaksMatter) return header;
  try {
    await repairFile(file, header, isDirty ? "all" : "after-crash", { yields: true });
    return readHeader(file);
  } catch (error) {
    releaseOpened(opened);
    throw error;
  }
}
