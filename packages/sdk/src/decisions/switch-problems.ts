import {
  distributedSwitch,
  type NetworkFacets,
  settingProblems,
  type SpecProblem,
  specProblems,
  type SwitchAbilities,
} from "@vdc-os/core/network/v1";
import type { PortPolicy } from "../kinds/port-policy.ts";
import { portNameText } from "../kinds/switch-port-name.ts";
import type { PortGroup, SwitchKindSpec } from "../kinds/switch-spec.ts";
import type { Problem } from "../resource/kind.ts";
import { buildSwitchSpec } from "./build-switch-spec.ts";
import { effectivePortSetting } from "./effective-port-setting.ts";

/** Whatever a provider can do: what it can't is for the provider to say. */
const everything: SwitchAbilities = {
  facets: new Set(Object.keys(distributedSwitch.facets) as (keyof NetworkFacets)[]),
  transports: ["overlay", "uplinks"],
  statefulFilters: true,
};

/** What is wrong with a switch for every provider. Pure. */
export function switchProblems(spec: SwitchKindSpec): readonly Problem[] {
  const { spec: built } = buildSwitchSpec(spec, { switchId: "s", name: "s", portKeyOf: portNameText });
  const found = specProblems(built, everything).map((problem) => ({
    path: pathOf(problem, spec),
    message: problem.message,
  }));
  for (const name of ["uplinks", "memberOpaque"] as const) {
    for (const host of Object.keys(spec[name] ?? {})) {
      if (spec.hosts.includes(host)) continue;
      found.push({ path: `/${name}/${host}`, message: `'${host}' is not among the switch's hosts` });
    }
  }
  // A switch's own policy is the same trouble in each of its port groups.
  return found.filter(
    ({ path, message }, at) => found.findIndex((other) => other.path === path && other.message === message) === at,
  );
}

/** What is wrong with a port's own policy: what its group does not let it set, and settings that contradict themselves. Pure. */
export function portPolicyProblems(
  { policy, mirrors = [] }: Pick<SwitchKindSpec, "policy" | "mirrors">,
  group: Pick<PortGroup, "name" | "policy" | "overrides">,
  port: PortPolicy,
): readonly string[] {
  const setting = effectivePortSetting(policy, group, port);
  const sessions = new Set(mirrors.map(({ name }) => name));
  const missing = (port.filters ?? []).flatMap(({ name, action }) =>
    action.kind === "mirror" && !sessions.has(action.session)
      ? [`filter '${name}': there is no mirror session '${action.session}'`]
      : [],
  );
  const own = (Object.keys(port) as (keyof PortPolicy)[]).map((name) => `policy.${name}`);
  const wrong = settingProblems(setting, "policy", everything).filter(({ path }) =>
    own.some((name) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`)),
  );
  return [...wrong.map(({ path, message }) => `${path} ${message}`), ...missing];
}

/** `portGroups[0].setting.shapingIn` of what the provider gets, as a pointer into what the caller wrote. */
function pathOf({ path }: SpecProblem, { portGroups, hosts }: SwitchKindSpec): string {
  const segments = path.replace(/\[(\d+)\]/g, ".$1").split(".");
  const [first, second = "", third, fourth = "", ...more] = segments;
  if (first === "members") {
    const rest = third === "uplinks" ? ["uplinks", hosts[Number(second)] ?? "", fourth, ...more] : ["hosts", second];
    return `/${rest.filter((segment) => segment !== "").join("/")}`;
  }
  if (first !== "portGroups" || third !== "setting") return `/${segments.join("/")}`;
  const own = portGroups[Number(second)]?.policy ?? {};
  const place = fourth in own ? `/portGroups/${second}/policy` : "/policy";
  return [place, fourth, ...more].join("/");
}
