/** The package's own entry, CommonJS: the path of the binary. */
declare module 'workerd' {
  const exports: { readonly default: string };
  export default exports;
}
