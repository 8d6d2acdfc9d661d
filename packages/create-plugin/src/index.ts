// Writing a plugin
export { createPlugin, type CreatedPlugin, CreatePluginError, type CreatePluginOptions } from "./create-plugin.ts";
export { type ConfigEntry, type ExtensionPoint, extensionPoints, type PointName } from "./extension-point.ts";
export { type LicenseName, licenseNames } from "./license-file.ts";
