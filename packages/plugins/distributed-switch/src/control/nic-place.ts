import { join } from "node:path";
import { VdcError } from "@vdc-os/core";
import type { PortAttachment } from "@vdc-os/core/network/v1";
import { tapPrefix } from "../process/vm-taps.ts";
import type { DesiredState } from "./desired-state.ts";
import { portId } from "./host-config.ts";
import { hostFailure } from "./member-state.ts";
import type { PortRecord } from "./records.ts";
import { shortHash } from "./state-key.ts";

/** Longest path of a Unix socket on Linux, `sun_path` less its final zero. */
const longestSocketPath = 107;

/** Where a NIC is joined to its port on the host: the part of a port's record that says so. */
export type NicPlace = Pick<PortRecord, "path" | "tap">;

/** What new NICs are joined by: a socket that the VM monitor listens on, or a tap that it opens. */
export type NicKind = "stream" | "tap";

/** Gives each attachment of a port its place on a host: never the place of an earlier one. */
export class NicPlaces {
  readonly #state: DesiredState;
  readonly #kind: NicKind;

  constructor(options: { readonly state: DesiredState; readonly kind: NicKind }) {
    this.#state = options.state;
    this.#kind = options.kind;
  }

  /** Throws `FAILED_PRECONDITION` when the host's folder has a path too long for a socket. */
  place(
    host: string,
    { switchId, portKey, attachment }: Pick<PortRecord, "switchId" | "portKey" | "attachment">,
  ): NicPlace {
    const record = this.#state.hosts.get(host);
    if (record === undefined) throw hostFailure(host, new Error("its folder is not known"));
    const name = `${portId(switchId, portKey)}.${attachment}`;
    if (this.#kind === "tap") {
      // The name is short, and other switches of the host must not come to the same one.
      return { path: "", tap: `${tapPrefix}${shortHash(11, record.directory, name)}` };
    }
    const path = join(record.directory, "run", name);
    if (Buffer.byteLength(path) <= longestSocketPath) return { path };
    throw new VdcError(
      "FAILED_PRECONDITION",
      `the folder of host '${host}' is too long: the socket '${path}' would have more than ${longestSocketPath} bytes`,
      { reason: "VDC_SOCKET_PATH_TOO_LONG" },
    );
  }
}

/** The part of a record that says where its NIC is. */
export function placeOf({ path, tap }: NicPlace): NicPlace {
  return { path, ...(tap === undefined ? {} : { tap }) };
}

/** The place in the contract's words. */
export function attachmentAt({ path, tap }: NicPlace): PortAttachment {
  return tap === undefined ? { kind: "qemu-stream", path } : { kind: "tap", interfaceName: tap };
}
