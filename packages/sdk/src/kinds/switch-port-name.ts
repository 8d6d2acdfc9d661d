import { objectName, schemaOf } from "@vdc-os/core";
import { z } from "zod";

/**
 * A port of a switch: by the VM's NIC that it is for (`nic0` is the first), which follows the VM wherever it runs and finds one that is made later under
 * that name; or by its key at the provider.
 */
export type SwitchPortName = { readonly vm: string; readonly nic: string } | { readonly portKey: string };

/** Schema of {@link SwitchPortName}. */
export const switchPortName: z.ZodType<SwitchPortName> = schemaOf<SwitchPortName>()(
  z.union([
    z.strictObject({ vm: objectName, nic: z.string().regex(/^nic\d{1,3}$/) }),
    z.strictObject({ portKey: z.string().min(1) }),
  ]),
);

/** A port's name for people: `web-1/nic0`, or its key. */
export function portNameText(port: SwitchPortName): string {
  return "vm" in port ? `${port.vm}/${port.nic}` : port.portKey;
}
