import { readFile, rm, stat, writeFile } from "node:fs/promises";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import type { BlockClient } from "@vdc-os/ready/storage";
import type { SimulatedWorld } from "@vdc-os/plugin-simulator";
import type { VolumePresenter } from "../src/server/volume-presenter.ts";

/** The simulator's data path is in its process: what is published is a file that says where. */
export const simulatedPresenter: VolumePresenter = {
  async present({ transport, path }) {
    await writeFile(path, JSON.stringify(transport), { flag: "wx" });
    return { kind: "link", path };
  },
  isPresent: ({ path }) =>
    stat(path).then(
      () => true,
      () => false,
    ),
  withdraw: ({ path }) => rm(path, { force: true }),
};

/** Opens what {@link simulatedPresenter} published: the target's file names the staged one, and that the simulator's transport. */
export async function openSimulated(world: SimulatedWorld, transport: VolumeTransport): Promise<BlockClient> {
  let next = transport;
  while (next.kind === "file" || next.kind === "block") {
    next = JSON.parse(await readFile(next.path, "utf8")) as VolumeTransport;
  }
  return world.openTransport(next);
}
