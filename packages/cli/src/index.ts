// The datacenter that the command opens
export {
  type ConfigPlace,
  type DatacenterConfig,
  type DatacenterOptions,
  defineDatacenterConfig,
} from "./config/datacenter-config.ts";

// Pictures
export { type AllocationMapOptions, allocationMapSvg } from "./render/allocation-map-svg.ts";
export { type CloneTreeNode, type CloneTreeOptions, cloneTreeSvg } from "./render/clone-tree-svg.ts";
export {
  type SwitchTopology,
  switchTopologySvg,
  type TopologyHost,
  type TopologyPort,
} from "./render/switch-topology-svg.ts";

// The command itself
export { runCommandLine, type RunCommandLineOptions } from "./run-command-line.ts";
