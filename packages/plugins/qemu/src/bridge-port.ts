import { createHash } from "node:crypto";
import type { VmRecord } from "./vm-record.ts";

/** A NIC that is a port of an Open vSwitch bridge: the row that says so, and the tap that joins the two. */
export interface BridgePort {
  /** The NIC's id in the spec. */
  readonly nicId: string;
  /** The tap's name, which is the port's too. */
  readonly tap: string;
  readonly bridge: string;
  /** What the switch knows the NIC by. */
  readonly interfaceId: string;
  readonly mac: string;
  /** The largest packet that may pass, in bytes. */
  readonly mtu: number;
  readonly vmId: string;
  readonly uuid: string;
}

/** What every tap of a VM begins with. */
const tapPrefix = "vdcq";

const usualMtu = 1_500;

/** The NICs of a VM that are ports of Open vSwitch bridges. The taps' names follow from the host's folder, the VM and the NIC. */
export function bridgePorts(
  { vmId, uuid, spec }: Pick<VmRecord, "vmId" | "uuid" | "spec">,
  root: string,
): readonly BridgePort[] {
  return spec.nics.flatMap(({ id, mac, attachment }) => {
    if (attachment.kind !== "ovs") return [];
    const { bridge, interfaceId, mtu = usualMtu } = attachment;
    const tap = tapName(root, vmId, id);
    return [{ nicId: id, tap, bridge, interfaceId, mac, mtu, vmId, uuid }];
  });
}

/** Linux has room for 15 bytes, and other folders of the machine must not come to the same name. */
function tapName(...parts: readonly string[]): string {
  return `${tapPrefix}${createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 11)}`;
}
