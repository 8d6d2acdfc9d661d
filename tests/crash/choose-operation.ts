import { join } from "node:path";
import type { Random } from "@vdc-os/core";
import type { Operation, SeenObject } from "./manager-protocol.ts";
import { hostNames } from "../datacenter/open-real-datacenter.ts";

const MiB = 1 << 20;

/** Volumes with content of their own: `root-0`, and so on. A clone's name begins with the name of the one whose content it has. */
export const rootNames: readonly string[] = ["root-0", "root-1"];

/** The file that a root volume is made from. */
export function rootFile(outside: string, root: string): string {
  return join(outside, `${root}.raw`);
}

/** What is written in a volume of this name; `undefined` for one that begins empty. */
export function markerOf(name: string): string | undefined {
  const root = rootNames.find((candidate) => name === candidate || name.startsWith(`${candidate}.`));
  return root === undefined ? undefined : `marker of ${root}`;
}

interface Choice {
  readonly weight: number;
  readonly operation: Operation;
}

/** What {@link chooseOperation} chooses from. */
export interface ChooseOperationOptions {
  readonly objects: readonly SeenObject[];
  readonly outside: string;
  readonly virtualMachines: boolean;
}

/** What a user may do next, so that all that is accepted can come true: nothing is deleted that something else still waits for. */
export function chooseOperation(options: ChooseOperationOptions, random: Random): Operation | undefined {
  const choices = [...volumeChoices(options, random), ...switchChoices(options)];
  if (options.virtualMachines) choices.push(...machineChoices(options, random));
  let at = random.next() * choices.reduce((sum, { weight }) => sum + weight, 0);
  return choices.find(({ weight }) => {
    at -= weight;
    return at < 0;
  })?.operation;
}

function pick<T>(from: readonly T[], random: Random): T | undefined {
  return from[Math.floor(random.next() * from.length)];
}

function volumeChoices({ objects, outside, virtualMachines }: ChooseOperationOptions, random: Random): Choice[] {
  const choices: Choice[] = [];
  const volumes = objects.filter(({ kind }) => kind === "Volume");
  const absent = (name: string): boolean => !volumes.some((volume) => volume.name === name);
  for (const name of rootNames) {
    if (!absent(name)) continue;
    const content = { kind: "file", path: rootFile(outside, name), format: "raw" };
    choices.push({
      weight: 3,
      operation: { type: "create", kind: "Volume", name, spec: { storage: "storage", content } },
    });
  }
  for (const name of ["empty-0", "empty-1"]) {
    if (!absent(name)) continue;
    choices.push({
      weight: 1,
      operation: { type: "create", kind: "Volume", name, spec: { storage: "storage", capacityBytes: 4 * MiB } },
    });
  }
  const sources = volumes.filter(
    ({ name, ready, leaving }) => ready && !leaving && rootNames.some((root) => name.startsWith(root)),
  );
  const source = pick(sources, random);
  if (source !== undefined && volumes.length < 14) {
    const name = `${source.name.slice(0, 6)}.c${Math.floor(random.next() * 6)}`;
    const want = random.next() < 0.75 ? "linked" : "full";
    const content = { kind: "clone", volume: source.name, want };
    if (absent(name))
      choices.push({
        weight: 6,
        operation: { type: "create", kind: "Volume", name, spec: { storage: "storage", content } },
      });
  }
  for (const volume of volumes) {
    const { name, leaving, spec, status } = volume;
    if (leaving) continue;
    if (name.startsWith("empty")) {
      const capacityBytes = Number(spec.capacityBytes) + MiB;
      choices.push({ weight: 0.5, operation: { type: "change", kind: "Volume", name, change: { capacityBytes } } });
    }
    const isAwaited = volumes.some(
      (other) => !other.ready && (other.spec.content as { readonly volume?: string }).volume === name,
    );
    const isOfMachine = !rootNames.some((root) => name.startsWith(root)) && !name.startsWith("empty");
    const isOfImage = virtualMachines && name === rootNames[0];
    if (!isAwaited && !isOfMachine && !isOfImage && status.attachedTo === undefined)
      choices.push({
        weight: rootNames.includes(name) ? 0.4 : 0.8,
        operation: { type: "delete", kind: "Volume", name },
      });
  }
  return choices;
}

function switchChoices({ objects, virtualMachines }: ChooseOperationOptions): Choice[] {
  const choices: Choice[] = [];
  for (const name of virtualMachines ? ["switch-0"] : ["switch-0", "switch-1"]) {
    const found = objects.find((object) => object.kind === "Switch" && object.name === name);
    if (found === undefined) {
      const spec = { network: "network", hosts: hostNames, portGroups: [{ name: "group-0" }] };
      choices.push({ weight: 2, operation: { type: "create", kind: "Switch", name, spec } });
    } else if (!found.leaving) {
      const mtu = found.spec.mtu === 1450 ? 1400 : 1450;
      choices.push({ weight: 0.5, operation: { type: "change", kind: "Switch", name, change: { mtu } } });
      if (!virtualMachines) choices.push({ weight: 1, operation: { type: "delete", kind: "Switch", name } });
    }
  }
  return choices;
}

function machineChoices({ objects }: ChooseOperationOptions, random: Random): Choice[] {
  const choices: Choice[] = [];
  const has = (kind: string, name: string): boolean =>
    objects.some((object) => object.kind === kind && object.name === name && !object.leaving);
  const image = "image-0";
  if (!has("Image", image)) {
    const spec = { boot: { kind: "disk" }, volume: rootNames[0] };
    return has("Volume", rootNames[0] ?? "")
      ? [{ weight: 20, operation: { type: "create", kind: "Image", name: image, spec } }]
      : [];
  }
  if (!has("Switch", "switch-0")) return [];
  for (const name of ["vm-0", "vm-1", "vm-2"]) {
    const found = objects.find((object) => object.kind === "VirtualMachine" && object.name === name);
    if (found === undefined) {
      const spec = {
        image,
        cpus: 1,
        memoryBytes: 16 * MiB,
        disks: random.next() < 0.5 ? [{ kind: "empty", storage: "storage", capacityBytes: MiB }] : [],
        nics: [{ switch: "switch-0", portGroup: "group-0" }],
        ...(random.next() < 0.3 ? { host: pick(hostNames, random) } : {}),
      };
      choices.push({ weight: 6, operation: { type: "create", kind: "VirtualMachine", name, spec } });
    } else if (!found.leaving) {
      const power = found.spec.power === "on" ? "off" : "on";
      choices.push(
        {
          weight: power === "on" ? 4 : 1.5,
          operation: { type: "change", kind: "VirtualMachine", name, change: { power } },
        },
        { weight: 1, operation: { type: "delete", kind: "VirtualMachine", name } },
      );
    }
  }
  return choices;
}
