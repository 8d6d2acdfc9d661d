import { type Page, type PageRequest, VdcError } from "@vdc-os/core";
import type { Vm } from "@vdc-os/core/compute/v1";
import { z } from "zod";

const maxPage = 1000;
const pageToken = z.tuple([z.literal("vms"), z.string(), z.string(), z.string()]);

/** One page of VMs, in the order of their ids. What is there from the first page to the last is on exactly one page. */
export function pageOfVms(
  vms: readonly Vm[],
  request: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string },
): Page<Vm> {
  const { limit = maxPage, ownerDatacenter, name } = request;
  const filter = [ownerDatacenter ?? "", name ?? ""] as const;
  const after = request.pageToken === undefined ? "" : decodeToken(request.pageToken, filter);
  const selected = vms
    .filter((vm) => ownerDatacenter === undefined || vm.owner?.datacenter === ownerDatacenter)
    .filter((vm) => name === undefined || vm.name === name)
    .filter((vm) => vm.vmId > after)
    .sort((a, b) => (a.vmId < b.vmId ? -1 : 1));
  const items = selected.slice(0, limit);
  const last = items.at(-1);
  if (last === undefined || items.length === selected.length) return { items };
  const token = JSON.stringify(["vms", ...filter, last.vmId]);
  return { items, nextPageToken: Buffer.from(token).toString("base64url") };
}

function decodeToken(text: string, filter: readonly [string, string]): string {
  try {
    const [, owner, name, after] = pageToken.parse(JSON.parse(Buffer.from(text, "base64url").toString("utf8")));
    if (owner === filter[0] && name === filter[1]) return after;
  } catch {
    // Said below.
  }
  throw new VdcError("ABORTED", "the page token is not one of this list: begin the list again");
}
