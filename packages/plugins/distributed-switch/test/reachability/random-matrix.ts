import fc from "fast-check";
import type { VlanSetting } from "../../src/dataplane/vlan-membership.ts";
import type { MatrixConfig, MatrixPort } from "./reachability-oracle.ts";

/** One private VLAN: its isolated secondary, and two communities. */
export const PRIMARY = 100;
export const PRIVATE_VLANS: readonly { readonly primary: number; readonly secondary: number }[] = [101, 102, 103].map(
  (secondary) => ({ primary: PRIMARY, secondary }),
);
/** Every tag that is tried; one VLAN that nobody is in among them. */
export const TAGS: readonly number[] = [1, 2, 50, PRIMARY, 101, 102, 103];

const anyVlan = fc.constantFrom(...TAGS.filter((id) => id !== 50));

const vlanSetting: fc.Arbitrary<VlanSetting> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: "none" as const }) },
  { weight: 3, arbitrary: fc.constantFrom(1, 2, PRIMARY).map((id) => ({ kind: "access" as const, id })) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("trunk" as const),
      ranges: fc.array(
        fc.tuple(anyVlan, anyVlan).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
        { maxLength: 2 },
      ),
      native: fc.option(anyVlan, { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      { kind: "pvlan" as const, primary: PRIMARY, secondary: PRIMARY, role: "promiscuous" as const },
      { kind: "pvlan" as const, primary: PRIMARY, secondary: 101, role: "isolated" as const },
      { kind: "pvlan" as const, primary: PRIMARY, secondary: 102, role: "community" as const },
      { kind: "pvlan" as const, primary: PRIMARY, secondary: 103, role: "community" as const },
    ),
  },
);

export interface RandomMatrixOptions {
  readonly ports: number;
  readonly hosts: number;
}

/** One change of one thing. */
export type MatrixChange =
  | { readonly kind: "port"; readonly port: number; readonly change: Partial<MatrixPort> }
  | { readonly kind: "tunnel"; readonly pair: readonly [number, number] };

/** The configuration after a change. A tunnel is cut, or mended where it is. */
export function change(config: MatrixConfig, each: MatrixChange): MatrixConfig {
  if (each.kind === "tunnel") {
    const rest = config.cut.filter(([a, b]) => a !== each.pair[0] || b !== each.pair[1]);
    return { ...config, cut: rest.length < config.cut.length ? rest : [...rest, each.pair] };
  }
  return {
    ...config,
    ports: config.ports.map((port, index) => (index === each.port ? { ...port, ...each.change } : port)),
  };
}

/** A switch with all ports connected, up and open, in random VLANs. */
export function randomMatrix({ ports, hosts }: RandomMatrixOptions): fc.Arbitrary<MatrixConfig> {
  const port = fc.record({
    host: fc.nat(hosts - 1),
    vlan: vlanSetting,
    blocked: fc.constant(false),
    gate: fc.constant("open" as const),
    up: fc.constant(true),
  });
  return fc.record({ ports: fc.array(port, { minLength: ports, maxLength: ports }), cut: fc.constant([]) });
}

/** Changes of every kind, VLANs and places most. */
export function randomChanges({ ports, hosts }: RandomMatrixOptions): fc.Arbitrary<MatrixChange[]> {
  const host = fc.nat(hosts - 1);
  const portChange: fc.Arbitrary<Partial<MatrixPort>> = fc.oneof(
    { weight: 5, arbitrary: vlanSetting.map((vlan) => ({ vlan })) },
    { weight: 4, arbitrary: host.map((each) => ({ host: each })) },
    { weight: 1, arbitrary: fc.constant({ host: undefined }) },
    { weight: 2, arbitrary: fc.boolean().map((blocked) => ({ blocked })) },
    {
      weight: 2,
      arbitrary: fc.constantFrom("open" as const, "hold" as const, "drop" as const).map((gate) => ({ gate })),
    },
    { weight: 2, arbitrary: fc.boolean().map((up) => ({ up })) },
  );
  const pair = fc
    .tuple(host, host)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  return fc.array(
    fc.oneof(
      {
        weight: 9,
        arbitrary: fc.record({ kind: fc.constant("port" as const), port: fc.nat(ports - 1), change: portChange }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("tunnel" as const), pair }) },
    ),
    { minLength: 1, maxLength: 12, size: "max" },
  );
}
