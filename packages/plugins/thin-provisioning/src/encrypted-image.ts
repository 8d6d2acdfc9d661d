import { type CreateImageOptions, createImage } from "@vdc-os/qcow2";
import { syncPath } from "./durable-file.ts";
import type { NewVolumeEncryption } from "./key-resolver.ts";
import type { NewVolume } from "./new-volume.ts";

/** How an empty volume is made that is encrypted: its image does not follow from its record, since its master key is random. Nothing where it is not to be encrypted. */
export function encryptedImage(
  encrypt: (() => Promise<NewVolumeEncryption | undefined>) | undefined,
  image: Pick<CreateImageOptions, "clusterSizeBytes" | "backing">,
): Pick<NewVolume, "encrypt" | "write"> {
  if (encrypt === undefined) return {};
  return {
    encrypt,
    write: async (path, virtualSizeBytes, encryption) => {
      await createImage({
        ...image,
        path,
        virtualSizeBytes,
        durable: false,
        isHidden: true,
        ...(encryption && { encryption }),
      });
      await syncPath(path);
    },
  };
}
