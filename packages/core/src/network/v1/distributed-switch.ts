import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { type Generation, generation, identifier, nothing } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import { type WatchItem, watchItemOf } from "../../contract/watch-item.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { unary, watch } from "../../extension-point/operation.ts";
import { type CaptureFacet, captureOperations } from "./facets/capture.ts";
import { type ConfigArchiveFacet, configArchiveOperations } from "./facets/config-archive.ts";
import { type DiscoveryFacet, discoveryOperations } from "./facets/discovery.ts";
import { type EffectiveSettingFacet, effectiveSettingOperations } from "./facets/effective-setting.ts";
import { type ExplainFacet, explainOperations } from "./facets/explain.ts";
import { type GateFacet, gateOperations } from "./facets/gate.ts";
import { type HealthCheckFacet, healthCheckOperations } from "./facets/health-check.ts";
import { type LoadBalancingFacet, loadBalancingOperations } from "./facets/load-balancing.ts";
import { type PortMigrationFacet, portMigrationOperations } from "./facets/migration.ts";
import { type TeamingFacet, teamingOperations } from "./facets/teaming.ts";
import {
  type ConnectPort,
  connectPort,
  type PortBinding,
  type PortStatistics,
  portBinding,
  portStatistics,
  type SwitchStatus,
  switchStatus,
} from "./port.ts";
import { type SpecProblem, type SwitchSpec, specProblem, switchSpec } from "./switch-spec.ts";

/** The optional parts of {@link DistributedSwitch}. */
export interface NetworkFacets {
  readonly teaming?: TeamingFacet;
  readonly pvlan?: EffectiveSettingFacet;
  readonly shaping?: EffectiveSettingFacet;
  readonly securityPolicy?: EffectiveSettingFacet;
  readonly macLearning?: EffectiveSettingFacet;
  readonly accessControl?: EffectiveSettingFacet;
  readonly mirroring?: EffectiveSettingFacet;
  readonly flowExport?: EffectiveSettingFacet;
  readonly multicastSnooping?: EffectiveSettingFacet;
  readonly dhcp?: EffectiveSettingFacet;
  readonly discovery?: DiscoveryFacet;
  readonly loadBalancing?: LoadBalancingFacet;
  readonly gate?: GateFacet;
  readonly migration?: PortMigrationFacet;
  readonly healthCheck?: HealthCheckFacet;
  readonly configArchive?: ConfigArchiveFacet;
  readonly capture?: CaptureFacet;
  readonly explain?: ExplainFacet;
}

/**
 * The vNetwork API: what a third party implements to be the distributed switch (terms of vSphere's VDS, realisation as in OVN).
 *
 * - Desired state is given whole, with a generation; never as a stream of edits.
 * - `validateSwitch` is pure and the only place to say no. What it accepts, `applySwitch` realises, sooner or later.
 * - A receipt is not success: success is the realised generation in the status of every member that is up.
 * - A port has one owner, known by its generation; frames of an older owner are refused.
 * - Calls may come all at once. A call that is given up, or that its provider's end cuts off, is done or not at all, and a repeat completes it.
 * - Ids, keys and names are taken as they are, or refused with `INVALID_ARGUMENT`; none is a path, a pattern or an expression.
 */
export interface DistributedSwitch {
  /**
   * Facets may differ by host, which is the scope. Attributes: `fencing`, `overheadBytes` (what tunnelling takes from the underlay's MTU), `attachments`
   * (kinds of `PortAttachment`), `transports` (of `SwitchSpec.transport`), `statefulFilters`, `filterActions` (where not all of `FilterAction`), `countsDrops` (false where what is dropped is not counted by
   * port: `dropsIn` is empty then, and `framesForwarded` is all that came in and is not held).
   */
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  /** Pure: no I/O beyond what the provider knows. Empty when the spec is good. */
  validateSwitch(input: { readonly spec: SwitchSpec }, context: OperationContext): Promise<readonly SpecProblem[]>;
  /** Takes over a spec. An older generation than one seen before fails with `ABORTED`; the same again changes nothing. */
  applySwitch(
    input: { readonly spec: SwitchSpec; readonly generation: number },
    context: OperationContext,
  ): Promise<{ readonly generation: number }>;
  /** Removes a switch. Connected ports fail it with `FAILED_PRECONDITION`; removing what is absent succeeds. */
  removeSwitch(input: { readonly switchId: string }, context: OperationContext): Promise<void>;
  listSwitches(
    input: PageRequest & { readonly ownerDatacenter?: string },
    context: OperationContext,
  ): Promise<Page<SwitchSpec>>;
  /**
   * Joins a NIC to a port. The same key, host and generation again returns the same binding. An older generation than the port's highest fails with
   * `FAILED_PRECONDITION`; a port beyond its group's `maxPorts` with `RESOURCE_EXHAUSTED`; a host that is no member with `FAILED_PRECONDITION`.
   */
  connectPort(input: ConnectPort, context: OperationContext): Promise<PortBinding>;
  /** Ends the connection of that generation. An absent or older one is a success and changes nothing. */
  disconnectPort(
    input: { readonly switchId: string; readonly portKey: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
  /** Cuts off every owner up to and including this generation, durably. */
  revokePort(
    input: { readonly switchId: string; readonly portKey: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
  switchStatus(input: { readonly switchId: string }, context: OperationContext): Promise<SwitchStatus>;
  watchSwitch(input: { readonly switchId: string }, context: OperationContext): AsyncIterable<WatchItem<SwitchStatus>>;
  portStatistics(
    input: { readonly switchId: string; readonly portKeys?: readonly string[] },
    context: OperationContext,
  ): Promise<readonly PortStatistics[]>;
  /** Disconnects the ports that are not in `known`, and returns their keys. */
  collectGarbage(
    input: { readonly switchId: string; readonly known: readonly string[] },
    context: OperationContext,
  ): Promise<readonly string[]>;
  readonly facets?: NetworkFacets;
}

const portRefWithGeneration = z.object({ switchId: identifier, portKey: identifier, generation });
const switchRef = z.object({ switchId: identifier });

/** The extension point for networks: the vNetwork API. */
export const distributedSwitch: ExtensionPoint<DistributedSwitch> = defineExtensionPoint<DistributedSwitch>()({
  id: "vdc.network",
  version: "1.0",
  summary: "Networks: switches that span hosts, their port groups, and the ports that VMs are joined to.",
  operations: {
    describe: describeOperation,
    validateSwitch: unary({
      summary: "Tells what is wrong with a spec.",
      input: z.object({ spec: switchSpec }),
      output: z.array(specProblem),
      idempotent: true,
      errors: [],
    }),
    applySwitch: unary({
      summary: "Takes over the whole desired state of a switch.",
      input: z.object({ spec: switchSpec, generation: z.int().positive() }),
      output: z.object({ generation: z.int().positive() }),
      idempotent: true,
      errors: ["ABORTED", "RESOURCE_EXHAUSTED"],
    }),
    removeSwitch: unary({
      summary: "Removes a switch; removing what is absent succeeds.",
      input: switchRef,
      output: nothing,
      idempotent: true,
      errors: ["FAILED_PRECONDITION"],
    }),
    listSwitches: unary({
      summary: "Lists switches by page.",
      input: z.object({ ...pageRequestShape, ownerDatacenter: z.string().exactOptional() }),
      output: pageOf(switchSpec),
      idempotent: true,
      errors: ["ABORTED"],
    }),
    connectPort: unary({
      summary: "Joins a VM's NIC to a port group on a host.",
      input: connectPort,
      output: portBinding,
      idempotent: true,
      errors: ["NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"],
    }),
    disconnectPort: unary({
      summary: "Ends a connection; ending one that is absent or older succeeds.",
      input: portRefWithGeneration,
      output: nothing,
      idempotent: true,
      errors: [],
    }),
    revokePort: unary({
      summary: "Cuts off every owner of a port up to a generation, durably.",
      input: portRefWithGeneration,
      output: nothing,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    switchStatus: unary({
      summary: "Tells what is realised, by member and port.",
      input: switchRef,
      output: switchStatus,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    watchSwitch: watch({
      summary: "Tells how a switch's status changes.",
      input: switchRef,
      output: watchItemOf(switchStatus),
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    portStatistics: unary({
      summary: "Returns counters of ports.",
      input: z.object({ switchId: identifier, portKeys: z.array(identifier).exactOptional() }),
      output: z.array(portStatistics),
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    collectGarbage: unary({
      summary: "Disconnects the ports that nobody owns.",
      input: z.object({ switchId: identifier, known: z.array(identifier) }),
      output: z.array(identifier),
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
  },
  facets: {
    teaming: teamingOperations,
    pvlan: effectiveSettingOperations,
    shaping: effectiveSettingOperations,
    securityPolicy: effectiveSettingOperations,
    macLearning: effectiveSettingOperations,
    accessControl: effectiveSettingOperations,
    mirroring: effectiveSettingOperations,
    flowExport: effectiveSettingOperations,
    multicastSnooping: effectiveSettingOperations,
    dhcp: effectiveSettingOperations,
    discovery: discoveryOperations,
    loadBalancing: loadBalancingOperations,
    gate: gateOperations,
    migration: portMigrationOperations,
    healthCheck: healthCheckOperations,
    configArchive: configArchiveOperations,
    capture: captureOperations,
    explain: explainOperations,
  },
});
