// Real daemons for tests: without root, without the kernel's part, gone when the test is.

// What is there
export { type DaemonSuite, findProgram, findSchema, missingPrograms, type SchemaName } from "./programs.ts";

// OVSDB
export { type OvsdbCluster, type StartOvsdbClusterOptions, startOvsdbCluster } from "./ovsdb-cluster.ts";
export {
  type DatabaseSource,
  type OvsdbServer,
  type StartOvsdbServerOptions,
  startOvsdbServer,
} from "./ovsdb-server.ts";

// Open vSwitch
export { type DummyPort, type OpenDummyPortOptions, openDummyPort, type ReceiveFrameOptions } from "./dummy-port.ts";
export {
  type OpenPortOptions,
  type OpenVswitch,
  type StartOpenVswitchOptions,
  startOpenVswitch,
} from "./open-vswitch.ts";

// OVN
export { type OvnCentral, type StartOvnCentralOptions, startOvnCentral } from "./ovn-central.ts";
export {
  type OpenLogicalPortOptions,
  type OvnChassis,
  type OvnUnderlay,
  type StartOvnChassisOptions,
  startOvnChassis,
} from "./ovn-chassis.ts";
export { type OvnFabric, type StartOvnFabricOptions, startOvnFabric } from "./ovn-fabric.ts";

// The parts, for daemons that are not listed here
export { Daemon, type DaemonHost, type DaemonOptions } from "./daemon.ts";
export { DaemonFolder } from "./daemon-folder.ts";
export { FixtureError, type FixtureErrorCode } from "./fixture-error.ts";
export { JsonRpcSocket } from "./json-rpc-socket.ts";
export { type RunToolOptions, runTool } from "./run-tool.ts";
