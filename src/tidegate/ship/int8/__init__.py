"""Recurrent layers in whole numbers: weights of 8 bits, inputs and states of 16, all arithmetic on 32."""
