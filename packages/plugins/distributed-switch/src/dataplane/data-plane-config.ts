import { isIP } from "node:net";
import { z } from "zod";
import { MAX_MTU } from "./ethernet-frame.ts";
import { parseMac } from "./mac-address.ts";
import { MAX_VNI_BASE, VNIS_PER_SWITCH } from "./segment.ts";
import type { Gate, PortSettings } from "./switch-port.ts";
import type { TunnelPeer } from "./switch-tunnel.ts";
import type { UdpAddress } from "./vxlan-endpoint.ts";
import { vxlanOverhead } from "./vxlan-header.ts";

/** The tunnel endpoint of this host. */
export interface VtepConfig {
  /** Where tunnelled frames are received. Port 0 takes a free one; `status` tells which. */
  readonly listen: UdpAddress;
  /** The largest IP packet that reaches every peer unfragmented, in octets. Defaults to `1500`. */
  readonly underlayMtu?: number | undefined;
}

/** One port: a VM's NIC. */
export interface DataPlanePortConfig {
  /** Unique in the data plane. */
  readonly key: string;
  /** The Unix socket on which QEMU listens for this NIC. Undefined: the port is down. */
  readonly socketPath?: string | undefined;
  readonly settings: PortSettings;
  /** The gate with which the port comes into being. Later applies leave the gate alone. Defaults to `open`. */
  readonly initialGate?: Gate | undefined;
}

/** One distributed switch's part on this host. */
export interface DataPlaneSwitchConfig {
  readonly key: string;
  /** Where the switch's VNIs start: a multiple of 4096 above 0, the same on every host and no other switch's. */
  readonly vniBase: number;
  /** The largest payload of a frame, in octets. Defaults to `1500`. */
  readonly maxMtu?: number | undefined;
  /** How long a learned address is remembered. Defaults to `300_000`. */
  readonly macAgeingMs?: number | undefined;
  /** The other hosts; empty for a switch of this host alone. */
  readonly peers: readonly TunnelPeer[];
  readonly ports: readonly DataPlanePortConfig[];
}

/** Everything that this host's data plane should be. Plain data. */
export interface DataPlaneConfig {
  /** Grows with every change; a configuration older than the realised one is refused. */
  readonly generation: number;
  readonly vtep?: VtepConfig | undefined;
  readonly switches: readonly DataPlaneSwitchConfig[];
}

/** The payload of frames when a switch doesn't say. */
export const DEFAULT_MTU = 1500;

const udpAddress = z.object({
  address: z.string().refine((text) => isIP(text) !== 0, "must be a literal IP address"),
  port: z.int().min(0).max(65535),
});
const peerPort = z.int().min(1).max(65535);
const vlanId = z.int().min(1).max(4094);
const gate = z.enum(["open", "hold", "drop"]);

const vlanSetting = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("none") }),
  z.object({ kind: z.literal("access"), id: vlanId }),
  z.object({
    kind: z.literal("trunk"),
    ranges: z.array(
      z.object({ from: vlanId, to: vlanId }).refine(({ from, to }) => from <= to, "a range must not run backwards"),
    ),
    native: vlanId.optional(),
  }),
]);

const macText = z.string().refine((text) => parseMac(text) !== undefined, "must be a MAC address");

const portSettings = z.object({
  macAddress: z.string().refine((text) => {
    const mac = parseMac(text);
    return mac !== undefined && mac !== 0 && Math.floor(mac / 2 ** 40) % 2 === 0;
  }, "must be a unicast MAC address such as 52:54:00:12:34:56"),
  vlan: vlanSetting,
  blocked: z.boolean().optional(),
  security: z
    .object({ promiscuous: z.boolean(), forgedTransmits: z.boolean(), macChanges: z.boolean() })
    .partial()
    .optional(),
  macLearning: z
    .object({
      enabled: z.boolean(),
      limit: z.int().min(0).optional(),
      unknownUnicastFlooding: z.boolean().optional(),
    })
    .optional(),
});

const key = z.string().min(1).max(256);

/** Checks the shape; `parseDataPlaneConfig` checks what lies across fields too. */
export const dataPlaneConfigSchema: z.ZodType<DataPlaneConfig> = z.object({
  generation: z.int().min(1),
  vtep: z.object({ listen: udpAddress, underlayMtu: z.int().min(576).max(65535).optional() }).optional(),
  switches: z.array(
    z.object({
      key,
      vniBase: z
        .int()
        .min(VNIS_PER_SWITCH)
        .max(MAX_VNI_BASE)
        .refine((base) => base % VNIS_PER_SWITCH === 0, `must be a multiple of ${VNIS_PER_SWITCH}`),
      maxMtu: z.int().min(68).max(MAX_MTU).optional(),
      macAgeingMs: z.int().min(1).optional(),
      peers: z.array(
        udpAddress.extend({
          key,
          port: peerPort,
          anySourcePort: z.boolean().optional(),
          refuses: z.array(macText).optional(),
        }),
      ),
      ports: z.array(
        z.object({
          key,
          // sun_path holds 108 bytes with its terminator; longer paths fail in confusing ways at connect time.
          socketPath: z
            .string()
            .min(1)
            .refine((path) => Buffer.byteLength(path) <= 107, "is too long for a Unix socket (107 bytes)")
            .optional(),
          settings: portSettings,
          initialGate: gate.optional(),
        }),
      ),
    }),
  ),
});

/** Everything that is wrong with a configuration, one sentence each with the path to the place; or the configuration. */
export function parseDataPlaneConfig(
  input: unknown,
): { readonly config: DataPlaneConfig } | { readonly problems: readonly string[] } {
  const parsed = dataPlaneConfigSchema.safeParse(input);
  if (!parsed.success) {
    return { problems: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) };
  }
  const problems = contradictions(parsed.data);
  return problems.length > 0 ? { problems } : { config: parsed.data };
}

function contradictions({ vtep, switches }: DataPlaneConfig): string[] {
  const problems: string[] = [];
  const once = (what: string, names: readonly (string | number)[]): void => {
    const seen = new Set<string | number>();
    const repeated = new Set(names.filter((name) => seen.size === seen.add(name).size));
    for (const name of repeated) problems.push(`${what} '${name}' is there more than once`);
  };
  const ports = switches.flatMap((each) => each.ports);
  once(
    "switch",
    switches.map(({ key }) => key),
  );
  once(
    "vniBase",
    switches.map(({ vniBase }) => vniBase),
  );
  once(
    "port",
    ports.map(({ key }) => key),
  );
  once(
    "socketPath",
    ports.flatMap(({ socketPath }) => socketPath ?? []),
  );
  for (const { key, peers, maxMtu = DEFAULT_MTU } of switches) {
    const at = `switch '${key}'`;
    once(
      `${at}: peer`,
      peers.map((peer) => peer.key),
    );
    once(
      `${at}: peer address`,
      peers.map((peer) => `${peer.address} ${peer.anySourcePort === true ? "*" : peer.port}`),
    );
    if (peers.length === 0) continue;
    if (vtep === undefined) {
      problems.push(`${at} has peers, but there is no vtep`);
      continue;
    }
    const family = isIP(vtep.listen.address);
    for (const peer of peers) {
      if (isIP(peer.address) !== family) problems.push(`${at}: peer '${peer.key}' isn't of the vtep's address family`);
      if (peer.address === vtep.listen.address && peer.port === vtep.listen.port) {
        problems.push(`${at}: peer '${peer.key}' is this host itself`);
      }
    }
    const room = (vtep.underlayMtu ?? 1500) - vxlanOverhead(family === 6 ? 6 : 4);
    if (maxMtu > room) {
      problems.push(`${at}: maxMtu ${maxMtu} is more than the ${room} that the tunnel leaves of the underlay's MTU`);
    }
  }
  return problems;
}
