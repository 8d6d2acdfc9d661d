import {
  type Application,
  BaseRouter,
  DefaultTheme,
  DefaultThemeRenderContext,
  JSX,
  type PageEvent,
  type Reflection,
  ReflectionKind,
  type RenderTemplate,
  type RouterTarget,
} from "typedoc";

/** Writes each page's content alone: this site has a layout of its own, with one navigation and one search. */
export class ContentTheme extends DefaultTheme {
  override ContextClass: typeof DefaultThemeRenderContext = ContentContext;

  override defaultLayoutTemplate = (
    page: PageEvent<Reflection>,
    template: RenderTemplate<PageEvent<Reflection>>,
  ): JSX.Element => JSX.createElement(JSX.Fragment, null, template(page));
}

class ContentContext extends DefaultThemeRenderContext {
  /** The table of contents is the layout's. */
  override index = (): JSX.Element => JSX.createElement(JSX.Fragment, null);
}

/** Places symbols below the module that exports them: `core/storage/v1/StorageProvider.html`. */
export class ModuleRouter extends BaseRouter {
  constructor(application: Application) {
    super(application);
    this.extension = ".html";
  }

  protected override getIdealBaseName(target: RouterTarget): string {
    const names: string[] = [];
    for (let each = target as Reflection; !each.isProject(); each = each.parent as Reflection) names.unshift(each.name);
    const path = names.map((name) => name.replace(/^@[^/]+\//, "")).join("/");
    const safe = path.split("/").map((part) => this.getUrlSafeName(part));
    const isModule = (target as Reflection).kindOf(ReflectionKind.Module);
    return names.length === 0 ? "project" : isModule ? [...safe, "index"].join("/") : safe.join("/");
  }
}
