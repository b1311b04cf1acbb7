// Module hooks that put careless.js between a pod and its drivers of limits: whoever opens one gets it wrapped.

const DRIVER = /\/store\/limit-(scripts|bottleneck)\.js$/;

export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  return DRIVER.test(found.url) ? { ...found, url: `${found.url}?careless` } : found;
}

export async function load(url, context, next) {
  if (!url.endsWith('?careless')) return next(url, context);
  const real = JSON.stringify(url.replace('?careless', '?real'));
  const wrapper = JSON.stringify(new URL('./careless.js', import.meta.url).href);
  const source = `
    import { makeCareless } from ${wrapper};
    import * as real from ${real};
    export * from ${real};
    const open = (opener) => (options) => makeCareless(opener(options));
    export const openScriptDriver = real.openScriptDriver && open(real.openScriptDriver);
    export const openBottleneckDriver = real.openBottleneckDriver && open(real.openBottleneckDriver);
  `;
  return { format: 'module', source, shortCircuit: true };
}
