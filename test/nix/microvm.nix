# A host with VMs of microvm.nix that `slicer run` takes over: `guests` by name, each settings of `microvm`;
# `slicer`: what services.slicer says besides. `microvmNix`: where the real one is, else what stands for it.
{ lib, microvmNix ? null }:
{ guests, slicer }:
let
  pkgs = import ./packages.nix { inherit lib; };
  freeform = names: {
    options = lib.genAttrs names (_: lib.mkOption {
      type = lib.types.submodule { freeformType = lib.types.lazyAttrsOf lib.types.unspecified; };
      default = { };
    });
  };

  realGuest = name: settings: (lib.evalModules {
    class = "nixos";
    specialArgs = { inherit pkgs; };
    modules = map (file: "${microvmNix}/nixos-modules/microvm/${file}") [ "default.nix" ] ++ [
      {
        disabledModules = map (file: "${microvmNix}/nixos-modules/microvm/${file}")
          [ "asserts.nix" "mounts.nix" "interfaces.nix" "pci-devices.nix" "virtiofsd" "graphics.nix" "rosetta.nix" "optimization.nix" "ssh-deploy.nix" "vsock-ssh.nix" "boot-disk.nix" ];
        microvm = settings // { kernelParams = [ "loglevel=4" ]; };
      }
      (lib.recursiveUpdate (freeform [ "networking" "environment" "systemd" "nix" "security" ]) {
        options.assertions = lib.mkOption { type = lib.types.listOf lib.types.unspecified; };
        options.boot = lib.mkOption { type = lib.types.submodule { freeformType = lib.types.lazyAttrsOf lib.types.unspecified; options.kernelParams = lib.mkOption { default = [ ]; }; }; default = { }; };
        options.system = lib.mkOption { default = { }; };
        config.networking.hostName = name;
        config.boot.kernelPackages.kernel = pkgs.linux;
        config.nix = { enable = false; };
        config.security.virtualisation.flushL1DataCache = null;
        config.system = { build = { initialRamdisk = "/pkgs/initrd"; toplevel = "/pkgs/toplevel"; }; boot.loader = { initrdFile = "initrd"; kernelFile = "bzImage"; }; };
      })
    ];
  }).config;
  guestOf = name: settings: if microvmNix == null then import ./lib/microvm-guest.nix { inherit pkgs settings; } else realGuest name settings;
  evaluated = builtins.mapAttrs guestOf guests;

  hostModules =
    if microvmNix == null then [ ./lib/microvm-options.nix ]
    else [
      "${microvmNix}/nixos-modules/host"
      (freeform [ "users" "security" "hardware" "system" "virtualisation" ])
      { virtualisation.libvirtd.enable = false; }
    ];

  # The command line that microvm.nix itself would have.
  inherit (import "${microvmNix}/lib" { inherit lib; }) withDriveLetters extractOptValues extractParamValue;
  commandOf = name: { microvm, ... }: (import "${microvmNix}/lib/runners/${microvm.hypervisor}.nix" {
    inherit pkgs;
    microvmConfig = microvm // { hostName = name; };
    macvtapFds = { };
    linuxTarget = "bzImage";
    inherit withDriveLetters extractOptValues extractParamValue;
  }).command;
in
import ./evaluate.nix { inherit lib; } (hostModules ++ [
  ../../nix/host.nix
  {
    services.slicer = { enable = true; program = "/opt/slicer/bin/slicer"; } // slicer;
    microvm.vms = builtins.mapAttrs (_: config: { evaluatedConfig = { inherit config; }; }) evaluated;
  }
]) // (if microvmNix == null then { } else { commands = builtins.mapAttrs commandOf evaluated; })
