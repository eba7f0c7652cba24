# From options to what the file for `slicer run` says: paths, and no value.
{ lib }:
let
  inherit (lib) filterAttrs isAttrs isList mapAttrs;

  withoutUnset = value:
    if isAttrs value then mapAttrs (_: withoutUnset) (filterAttrs (_: part: part != null) value)
    else if isList value then map withoutUnset value
    else value;
  isSaid = value: value != { } && value != [ ];
in
rec {
  # All of `vm` that is set.
  said = vm: filterAttrs (_: isSaid) (withoutUnset vm);

  secretsOf = { runtimeSecrets, credentialFiles, ... }:
    mapAttrs (_: secretPath: { inherit secretPath; }) credentialFiles // runtimeSecrets;

  # `name`: the VM's. `defaults`: what holds where `vm`, an element of services.slicer.vms, says nothing.
  runFile = name: defaults: vm:
    defaults // said (removeAttrs vm [ "autostart" "credentialFiles" "runtimeSecrets" ]) // { inherit name; }
    // said { runtimeSecrets = secretsOf vm; };
}
