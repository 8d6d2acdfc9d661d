// The server
export { startApiServer } from "./api-server.ts";
export type { ApiServer, ApiServerOptions } from "./api-server.ts";

// What it serves
export type { ApiService } from "./api-service.ts";
export { httpStatusOf } from "./http-status.ts";
export {
  datacenterService,
  type DatacenterServiceOptions,
  defaultSizes,
  type InstanceSize,
} from "./datacenter-service.ts";
